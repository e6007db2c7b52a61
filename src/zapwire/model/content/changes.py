"""What is about an earlier message: reactions and deletions. Edits are in `kinds`, as they hold a content."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content


class ReactionContent(Content):
    """A reaction."""

    kind: ClassVar = "reaction"

    message_id: str
    emoji: str
    """Empty: the reaction is taken back."""


class RevokeContent(Content):
    """A message was deleted for everybody."""

    kind: ClassVar = "revoke"

    message_id: str
