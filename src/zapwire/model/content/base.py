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


class Content(ContentPart):
    """What a message says. Every kind is a class of its own, in a file of its subject; `kinds.KINDS` lists them."""

    kind: ClassVar[str]
    """The `type` of its messages."""

    quoted: Quoted | None = None
    mentions: tuple[Person, ...] = ()
    forwarded: bool = False
    view_once: bool = False
    disappearing: bool = False

    def as_json(self) -> dict[str, Any]:
        """A JSON object; a field that has its default is left out."""
        return self.model_dump(mode="json", exclude_defaults=True)
