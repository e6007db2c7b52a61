"""What the admin API's `send` can say, and the message that it becomes."""

from __future__ import annotations

from typing import Any, Literal

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from google.protobuf.message import DecodeError
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message
from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator

from zapwire.sandbox.phones import content, polls
from zapwire.sandbox.phones.content import E2EMessage
from zapwire.sandbox.phones.errors import BadRequest, UnknownPhone
from zapwire.sandbox.phones.inbox import Inbox, InboxEntry
from zapwire.sandbox.phones.line import Line
from zapwire.wire.node import WireJid


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Media(_Model):
    """A file; `data` is base64."""

    kind: Literal["image", "video", "audio", "document", "sticker"]
    data: Base64Bytes
    mimetype: str = ""
    caption: str = ""
    filename: str = ""
    voice: bool = False


class Reaction(_Model):
    """A reaction to a message of this phone's inbox; an empty emoji takes it back."""

    id: str
    emoji: str


class Edit(_Model):
    """A new text for a message that this phone sent."""

    id: str
    text: str


class Location(_Model):
    """A place in degrees."""

    latitude: float
    longitude: float
    name: str = ""


class Contact(_Model):
    """A contact card."""

    name: str
    vcard: str


class Poll(_Model):
    """A poll; `selectable` 0: any number of options."""

    question: str
    options: list[str]
    selectable: int = 1


class Vote(_Model):
    """A vote in a poll of this phone's inbox, for options by their words; an empty list takes it back."""

    id: str
    options: list[str]


CONTENTS = ("text", "media", "reaction", "edit", "delete", "location", "contact", "poll", "vote", "protobuf")


class PhoneMessage(_Model):
    """The body of `send`: one content for one chat (a phone number, or a group's address)."""

    to: str
    text: str | None = None
    reply_to: str | None = None
    media: Media | None = None
    reaction: Reaction | None = None
    edit: Edit | None = None
    delete: str | None = None
    location: Location | None = None
    contact: Contact | None = None
    poll: Poll | None = None
    vote: Vote | None = None
    protobuf: Base64Bytes | None = None
    id: str | None = Field(default=None, min_length=1, max_length=64)
    times: int = Field(default=1, ge=1, le=10_000)

    @model_validator(mode="after")
    def _one_content(self) -> PhoneMessage:
        if sum(getattr(self, name) is not None for name in CONTENTS) != 1:
            message = f"exactly one of {', '.join(CONTENTS)} is needed"
            raise ValueError(message)
        return self


class Composer:
    """Makes messages for one phone; those that refer to others are found in its inbox."""

    def __init__(self, line: Line, inbox: Inbox) -> None:
        self._line = line
        self._inbox = inbox

    def _find(self, message_id: str) -> InboxEntry:
        entry = self._inbox.find(message_id)
        if entry is None:
            raise UnknownPhone(f"this phone has neither got nor sent a message {message_id}")
        return entry

    def compose(self, chat: WireJid, body: PhoneMessage) -> E2EMessage:
        """The message of everything but media. Raises PhoneError."""
        if body.reaction is not None:
            return self._reaction(chat, body.reaction)
        if body.edit is not None:
            return content.edit(str(chat), body.edit.id, body.edit.text)
        if body.delete is not None:
            return content.revoke(str(chat), body.delete)
        if body.vote is not None:
            return self._vote(chat, body.vote)
        return self._plain(body)

    def _plain(self, body: PhoneMessage) -> E2EMessage:
        if body.text is not None:
            return content.text(body.text, self._quoted(body.reply_to))
        if body.location is not None:
            return content.location(body.location.latitude, body.location.longitude, body.location.name)
        if body.contact is not None:
            return content.contact(body.contact.name, body.contact.vcard)
        if body.poll is not None:
            return polls.poll(body.poll.question, body.poll.options, body.poll.selectable)
        try:
            message = Message.FromString(body.protobuf or b"")
        except DecodeError as error:
            raise BadRequest("protobuf is not a waE2E.Message") from error
        if not message.IsInitialized():
            raise BadRequest(f"protobuf lacks required fields: {', '.join(message.FindInitializationErrors())}")
        return message

    def _quoted(self, message_id: str | None) -> tuple[str, str, E2EMessage] | None:
        if message_id is None:
            return None
        entry = self._find(message_id)
        return message_id, self._author(entry), Message.FromString(entry.raw)

    def _author(self, entry: InboxEntry) -> str:
        """The address, without device, of who wrote a message."""
        own = str(self._line.account.lid_jid)
        return own if entry.kind == "sent" else str(WireJid.parse(entry.data["from_lid"]).bare)

    def _reaction(self, chat: WireJid, body: Reaction) -> E2EMessage:
        entry = self._find(body.id)
        from_me = entry.kind == "sent" or bool(entry.data["from_me"])
        participant = self._author(entry) if chat.server == "g.us" and not from_me else ""
        return content.reaction(str(chat), body.id, body.emoji, from_me=from_me, participant=participant)

    def _vote(self, chat: WireJid, body: Vote) -> E2EMessage:
        entry = self._find(body.id)
        asked = content.unwrap(Message.FromString(entry.raw))
        own = str(self._line.account.lid_jid)
        of = polls.Poll(body.id, str(self._line.lid(chat)), self._author(entry))
        return polls.vote(asked, of, own, body.options)

    def described(self, chat: WireJid, message: E2EMessage, message_id: str, timestamp: int) -> dict[str, Any]:
        """The inbox entry of a message that was sent."""
        own = self._line.account.phone
        return {
            "id": message_id,
            "chat": self._line.number(chat),
            "from": own,
            "from_me": True,
            "timestamp": timestamp,
            **content.describe(message),
        }
