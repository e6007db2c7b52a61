"""The content of messages: WhatsApp's protobuf on one side, the admin API's JSON on the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message, ProtocolMessage

E2EMessage: TypeAlias = Any
"""waE2E.Message; neonize's generated classes have no types that mypy sees."""

MEDIA_FIELDS: Final = {
    "image": "imageMessage",
    "video": "videoMessage",
    "audio": "audioMessage",
    "document": "documentMessage",
    "sticker": "stickerMessage",
}
WRAPPERS: Final = (
    "ephemeralMessage",
    "viewOnceMessage",
    "viewOnceMessageV2",
    "viewOnceMessageV2Extension",
    "documentWithCaptionMessage",
    "editedMessage",
)
SILENT: Final = frozenset({"senderKeyDistributionMessage", "messageContextInfo"})


def parse(protobuf: bytes) -> E2EMessage:
    """The reverse of `SerializeToString`."""
    return Message.FromString(protobuf)


def text(body: str, quoted: tuple[str, str, E2EMessage] | None = None) -> E2EMessage:
    """A text; *quoted* is the id, the sender's address and the content of the message that it answers."""
    if quoted is None:
        return Message(conversation=body)
    message = Message()
    message.extendedTextMessage.text = body
    context = message.extendedTextMessage.contextInfo
    context.stanzaID, context.participant = quoted[0], quoted[1]
    context.quotedMessage.CopyFrom(quoted[2])
    return message


def _key(message: E2EMessage, chat: str, message_id: str, *, from_me: bool, participant: str = "") -> None:
    message.key.remoteJID, message.key.ID, message.key.fromMe = chat, message_id, from_me
    if participant:
        message.key.participant = participant


def reaction(chat: str, message_id: str, emoji: str, *, from_me: bool, participant: str = "") -> E2EMessage:
    """A reaction to a message; an empty emoji takes it back."""
    message = Message()
    _key(message.reactionMessage, chat, message_id, from_me=from_me, participant=participant)
    message.reactionMessage.text = emoji
    message.reactionMessage.senderTimestampMS = int(time.time() * 1000)
    return message


def revoke(chat: str, message_id: str) -> E2EMessage:
    """Delete one of our messages for everyone."""
    message = Message()
    message.protocolMessage.type = ProtocolMessage.REVOKE
    _key(message.protocolMessage, chat, message_id, from_me=True)
    return message


def edit(chat: str, message_id: str, body: str) -> E2EMessage:
    """A new text for one of our messages."""
    message = Message()
    change = message.editedMessage.message.protocolMessage
    change.type = ProtocolMessage.MESSAGE_EDIT
    _key(change, chat, message_id, from_me=True)
    change.editedMessage.conversation = body
    change.timestampMS = int(time.time() * 1000)
    return message


def location(latitude: float, longitude: float, name: str = "") -> E2EMessage:
    """A place."""
    message = Message()
    message.locationMessage.degreesLatitude, message.locationMessage.degreesLongitude = latitude, longitude
    message.locationMessage.name = name
    return message


def contact(name: str, vcard: str) -> E2EMessage:
    """A contact card."""
    message = Message()
    message.contactMessage.displayName, message.contactMessage.vcard = name, vcard
    return message


def sent_elsewhere(destination: str, message: E2EMessage) -> E2EMessage:
    """What the account's other devices get of a message that this one sends."""
    wrapped = Message()
    wrapped.deviceSentMessage.destinationJID = destination
    wrapped.deviceSentMessage.message.CopyFrom(message)
    return wrapped


def unwrap(message: E2EMessage) -> E2EMessage:
    """The message inside disappearing, view-once, edited and similar envelopes."""
    for name in WRAPPERS:
        if message.HasField(name):
            return unwrap(getattr(message, name).message)
    return message


def stanza_type(message: E2EMessage) -> str:
    """The `type` attribute of the stanza."""
    inner = unwrap(message)
    if inner.HasField("reactionMessage"):
        return "reaction"
    if any(inner.HasField(name) for name in ("pollCreationMessage", "pollCreationMessageV3", "pollUpdateMessage")):
        return "poll"
    return "media" if media_type(message) else "text"


def media_type(message: E2EMessage) -> str:
    """The `mediatype` attribute of `<enc>`, or nothing."""
    inner = unwrap(message)
    for kind, name in MEDIA_FIELDS.items():
        if inner.HasField(name):
            return "ptt" if kind == "audio" and inner.audioMessage.PTT else kind
    return "vcard" if inner.HasField("contactMessage") else ""


def edit_attribute(message: E2EMessage) -> str:
    """The `edit` attribute of the stanza: 1 edited, 7 deleted by its sender, nothing otherwise."""
    inner = unwrap(message)
    if inner.HasField("protocolMessage"):
        return {ProtocolMessage.MESSAGE_EDIT: "1", ProtocolMessage.REVOKE: "7"}.get(inner.protocolMessage.type, "")
    return "7" if inner.HasField("reactionMessage") and not inner.reactionMessage.text else ""


def describe(message: E2EMessage) -> dict[str, Any]:
    """The content as JSON: `type`, and what belongs to that type."""
    inner = unwrap(message)
    for field, value in inner.ListFields():
        if field.name not in SILENT:
            return _describe_field(field.name, value)
    return {"type": "empty"}


def _describe_field(name: str, value: Any) -> dict[str, Any]:
    kind = next((kind for kind, field in MEDIA_FIELDS.items() if field == name), None)
    if kind is not None:
        return {"type": kind, **_describe_media(value)}
    describe_it = _DESCRIBE.get(name)
    return describe_it(value) if describe_it else {"type": name.removesuffix("Message")}


def _describe_extended_text(value: Any) -> dict[str, Any]:
    quoted = value.contextInfo.stanzaID
    return {"type": "text", "text": value.text, **({"quoted": quoted} if quoted else {})}


def _describe_media(media: Any) -> dict[str, Any]:
    fields = {
        "mimetype": "mimetype",
        "fileLength": "size",
        "caption": "caption",
        "fileName": "filename",
        "PTT": "voice",
    }
    known = {field.name for field in media.DESCRIPTOR.fields}
    return {name: getattr(media, field) for field, name in fields.items() if field in known and media.HasField(field)}


def _describe_protocol(change: Any) -> dict[str, Any]:
    match change.type:
        case ProtocolMessage.REVOKE:
            return {"type": "revoke", "target": change.key.ID}
        case ProtocolMessage.MESSAGE_EDIT:
            return {"type": "edit", "target": change.key.ID, "text": describe(change.editedMessage).get("text", "")}
    return {"type": "protocol", "protocol": ProtocolMessage.Type.Name(change.type).lower()}


_DESCRIBE: Final[dict[str, Callable[[Any], dict[str, Any]]]] = {
    "conversation": lambda value: {"type": "text", "text": value},
    "extendedTextMessage": _describe_extended_text,
    "reactionMessage": lambda value: {"type": "reaction", "target": value.key.ID, "emoji": value.text},
    "locationMessage": lambda value: {
        "type": "location",
        "latitude": value.degreesLatitude,
        "longitude": value.degreesLongitude,
    },
    "contactMessage": lambda value: {"type": "contact", "name": value.displayName, "vcard": value.vcard},
    "protocolMessage": _describe_protocol,
    "pollCreationMessage": lambda value: {
        "type": "poll",
        "question": value.name,
        "options": [option.optionName for option in value.options],
    },
    "pollUpdateMessage": lambda value: {"type": "vote", "target": value.pollCreationMessageKey.ID},
    "contactsArrayMessage": lambda value: {"type": "contacts", "names": [one.displayName for one in value.contacts]},
    "groupInviteMessage": lambda value: {"type": "group_invite", "group": value.groupJID, "code": value.inviteCode},
    "eventMessage": lambda value: {"type": "event", "name": value.name},
    "pinInChatMessage": lambda value: {"type": "pin", "target": value.key.ID, "pinned": value.type == 1},
    "keepInChatMessage": lambda value: {"type": "keep", "target": value.key.ID, "kept": value.keepType == 1},
}
