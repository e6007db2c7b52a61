"""What is about an earlier message: reactions, deletions, pins. Edits are in `kinds`, as they hold a content."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content


class ReactionContent(Content):
    """A reaction."""

    kind: ClassVar = "reaction"

    message_id: str
    emoji: str
    """Empty: the reaction is taken back."""


class DeleteContent(Content):
    """A message is deleted for everybody."""

    kind: ClassVar = "delete"

    message_id: str


class PinContent(Content):
    """A message is pinned in its chat, or no longer."""

    kind: ClassVar = "pin"

    message_id: str
    pinned: bool = True
    seconds: int | None = None
    """How long it stays pinned."""


class KeepContent(Content):
    """A message of a chat with a disappearing timer is kept by everybody, or no longer."""

    kind: ClassVar = "keep"

    message_id: str
    kept: bool = True


class CommentContent(Content):
    """A comment on a message of an announcement group; what it says is encrypted with that message's key."""

    kind: ClassVar = "comment"

    message_id: str
