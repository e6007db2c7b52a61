"""What all kinds of content have in common."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class ContentPart(BaseModel):
    """A value inside a content; it cannot be changed, and has exactly the fields that are named here."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class Person(ContentPart):
    """Somebody whom a content names, without a device part."""

    jid: str
    phone: str | None
    """E.164 with the plus sign."""
    lid: str | None


class Quoted(ContentPart):
    """The message that a message answers."""

    message_id: str
    sender: Person | None
    text: str | None
    """The text or the caption that is quoted, cut off after 200 characters; null where there is none."""


class Referral(ContentPart):
    """Where a person came from to write this: an ad, or a link on a page of WhatsApp's owner."""

    source_id: str | None = None
    """Of the ad or post."""
    source_type: str | None = None
    """WhatsApp's word: `ad`, `post`, ..."""
    source_url: str | None = None
    headline: str | None = None
    body: str | None = None
    click_id: str | None = None
    """Which click (`ctwa_clid`); what ad platforms count conversions by."""


class Choice(ContentPart):
    """What a person chose of a list, of buttons, of a poll or of a numbered text that stood in their place."""

    id: str
    """Of the row or button, as it was sent."""
    title: str


class Content(ContentPart):
    """What a message says. Every kind is a class of its own, in a file of its subject; `kinds.KINDS` lists them."""

    kind: ClassVar[str]
    """The `type` of its messages."""

    quoted: Quoted | None = None
    mentions: tuple[Person, ...] = ()
    mentions_all: bool = False
    """Everybody in the group is mentioned."""
    forwarded: bool = False
    view_once: bool = False
    disappearing: bool = False
    expires_in: int | None = None
    """Seconds after which WhatsApp's apps remove the message, by the timer of its chat."""
    referral: Referral | None = None
    choice: Choice | None = None
    """What the message chose of something interactive that this bot has sent."""

    def as_json(self) -> dict[str, Any]:
        """A JSON object; a field that has its default is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)
