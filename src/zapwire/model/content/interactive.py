"""Polls, lists and buttons, and what people choose."""

from __future__ import annotations

from typing import ClassVar, Literal

from zapwire.model.content.base import Content, ContentPart

Fallback = Literal["text", "poll"]
"""What stands in for lists and buttons where the network shows none: a numbered text, or a poll (2 to 12 options)."""


class PollContent(Content):
    """A poll."""

    kind: ClassVar = "poll"

    question: str
    options: tuple[str, ...]
    selectable: int
    """How many options a person may choose; 0: any number."""


class PollVoteContent(Content):
    """A vote in a poll: all that the person chooses now."""

    kind: ClassVar = "poll_vote"

    message_id: str
    """Of the poll."""
    options: tuple[str, ...] | None = None
    """What was chosen; empty: the vote was taken back. Null where the vote, or the poll, cannot be read."""


class ReplyContent(Content):
    """What a person chose of a list or of buttons."""

    kind: ClassVar = "reply"

    id: str
    text: str


class ListRow(ContentPart):
    """What can be chosen of a list."""

    id: str
    title: str
    description: str | None = None


class ListSection(ContentPart):
    """Rows under a title."""

    title: str | None = None
    rows: tuple[ListRow, ...]


class ListContent(Content):
    """A list of which a person chooses one row."""

    kind: ClassVar = "list"

    text: str
    title: str | None = None
    footer: str | None = None
    button: str | None = None
    """What opens the list."""
    sections: tuple[ListSection, ...]


class Button(ContentPart):
    """A button: one that answers has an `id`, one that opens a page a `url`, one that calls a `phone`."""

    title: str
    id: str | None = None
    url: str | None = None
    phone: str | None = None


class ButtonsContent(Content):
    """A text with buttons."""

    kind: ClassVar = "buttons"

    text: str
    title: str | None = None
    footer: str | None = None
    buttons: tuple[Button, ...]
