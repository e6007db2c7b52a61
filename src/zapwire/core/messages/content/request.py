"""What a caller gives to send a message of some kind; a class for each kind, all of them subclasses of this one."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field

from zapwire.model.content.base import Person, Quoted
from zapwire.model.content.kinds import AnyContent
from zapwire.model.errors import InvalidInput
from zapwire.model.jid import LID_SERVER, PHONE_SERVER, Jid, parse_recipient

EVERYBODY: Final = "all"
MOST_MENTIONS: Final = 1024
Words = Annotated[str, Field(min_length=1, max_length=4096)]
"""A text that has to be there."""
MessageIdText = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[!-~]+$")]


class RequestPart(BaseModel):
    """A value that a caller gives: exactly the fields that are named, each of its own type."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, hide_input_in_errors=True)


class ContentRequest(RequestPart):
    """The fields that messages of all kinds have in common."""

    kind: ClassVar[str]

    reply_to: MessageIdText | None = None
    """Id of the message in the same chat that this one answers, ours (`msg_...`) or WhatsApp's."""
    mentions: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=MOST_MENTIONS)] = []
    """Whom the text mentions: phone numbers, JIDs, or `all` for everybody in a group. The text has to name each as
    `@` and the digits of the number or JID, as WhatsApp's apps do."""

    def content(self, country: str | None, /) -> AnyContent:
        """What is sent; numbers without `+` are dialled in *country*. Raises `InvalidInput` that names the field."""
        raise NotImplementedError

    def common(self, country: str | None) -> dict[str, Any]:
        """The fields of `Content` that all kinds share."""
        found = dict[str, Any]()
        if self.reply_to is not None:
            found["quoted"] = Quoted(message_id=self.reply_to, sender=None, text=None)
        named = [one for one in self.mentions if one != EVERYBODY]
        if len(named) < len(self.mentions):
            found["mentions_all"] = True
        if named:
            found["mentions"] = tuple(_person(one, f"mentions.{place}", country) for place, one in enumerate(named))
        return found


def _person(text: str, field: str, country: str | None) -> Person:
    jid = parse_recipient(text, field=field, country=country)
    if jid.server not in (PHONE_SERVER, LID_SERVER):
        raise InvalidInput("not a person", field=field)
    return person_of(jid)


def person_of(jid: Jid) -> Person:
    """A person by one address."""
    phone = f"+{jid.user}" if jid.server == PHONE_SERVER else None
    return Person(jid=str(jid), phone=phone, lid=str(jid) if jid.server == LID_SERVER else None)
