"""Polls, and what people choose."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content


class PollContent(Content):
    """A poll."""

    kind: ClassVar = "poll"

    question: str
    options: tuple[str, ...]
    selectable: int
    """How many options a person may choose; 0: any number."""


class PollVoteContent(Content):
    """A vote in a poll; what was chosen is encrypted with the poll's key."""

    kind: ClassVar = "poll_vote"

    message_id: str
    """Of the poll."""


class ReplyContent(Content):
    """What a person chose of a list or of buttons."""

    kind: ClassVar = "reply"

    id: str
    text: str
