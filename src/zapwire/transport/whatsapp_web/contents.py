"""What a message says: its type and content, from the engine's waE2E protobuf.

Source: WAWebProtobufsE2E.proto. A type without a reader of its own stays visible as `unknown` with the name of its
field, one that is newer than the protobufs with the field's number. Everything in here was written by a stranger: lists
are bounded, and what `read_content` returns is always JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from google.protobuf.unknown_fields import UnknownFieldSet

from zapwire.model import Identity
from zapwire.transport.whatsapp_web.parties import party_of
from zapwire.transport.whatsapp_web.protos import e2e
from zapwire.transport.whatsapp_web.texts import plain, text_of

Content: TypeAlias = tuple[str, dict[str, Any]]

_CARRIERS: Final = frozenset(
    {
        "messageContextInfo",
        "senderKeyDistributionMessage",
        "fastRatchetKeySenderKeyDistributionMessage",
        "stickerSyncRmrMessage",
    }
)
"""Fields that are part of the protocol: keys of a group's sender, and what belongs to another field or device."""
_PLACEHOLDER: Final = "placeholderMessage"
"""Stands for a content that this device does not get; `messages.read_message` tells it."""
_NO_CONTENTS: Final = _CARRIERS | {_PLACEHOLDER}
_WRAPPER: Final = "FutureProofMessage"
MOST: Final = 1024
"""Entries of a list that are told: as many as a group has members."""
QUOTED: Final = 200
"""Characters that are told of a quoted text."""


def read_content(event: Any, own: Identity) -> Content | None:
    """Type and content of a `Neonize.Message`; None when it holds nothing for a person."""
    found = _read(event.Message, own)
    if found is None:
        return None
    kind, content = found
    if event.IsViewOnce:
        content["view_once"] = True
    if event.IsEphemeral:
        content["disappearing"] = True
    return kind, plain(content)


def innermost(message: Any) -> Any:
    """What is in the wrappers that the engine leaves on."""
    while True:
        value: Any = next((value for field, value in message.ListFields() if field.name not in _CARRIERS), None)
        if getattr(value, "DESCRIPTOR", None) is None or value.DESCRIPTOR.name != _WRAPPER:
            return message
        if not value.HasField("message"):
            return message
        message = value.message


def _read(message: Any, own: Identity) -> Content | None:
    message = innermost(message)
    if message.HasField("protocolMessage"):
        return _protocol(message.protocolMessage, own)
    fields = [(field.name, value) for field, value in message.ListFields() if field.name not in _NO_CONTENTS]
    if not fields:
        return _newer(message)
    for name, value in fields:
        if reader := _READERS.get(name):
            kind, content = reader(value)
            if hasattr(value, "HasField") and "contextInfo" in value.DESCRIPTOR.fields_by_name:
                content |= _context(value.contextInfo, own)
            return kind, content
    return "unknown", {"whatsapp_type": fields[0][0]}


def _newer(part: Any) -> Content | None:
    """A content that is newer than the protobufs: only fields that they do not know."""
    unknown = UnknownFieldSet(part)
    return ("unknown", {"whatsapp_type": str(unknown[0].field_number)}) if len(unknown) else None


def _protocol(part: Any, own: Identity) -> Content | None:
    kinds = e2e.ProtocolMessage
    if not part.HasField("type") and (newer := _newer(part)) is not None:
        return newer  # an unknown type is left out of the field, which then reads as REVOKE
    if part.type == kinds.REVOKE and part.HasField("key"):
        return "revoke", {"message_id": part.key.ID}
    if part.type == kinds.MESSAGE_EDIT:
        edited = _read(part.editedMessage, own)
        kind, content = edited if edited is not None else ("unknown", {})
        return "edit", {"message_id": part.key.ID, "type": kind, **content}
    return None  # history, app state keys and the like, between the account's own devices


def _context(context: Any, own: Identity) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if context.stanzaID:
        sender = text_of(context.participant)
        found["quoted"] = {
            "message_id": context.stanzaID,
            "sender": _person(sender, own) if sender else None,
            "text": _text_in_short(context.quotedMessage) if context.HasField("quotedMessage") else None,
        }
    if context.mentionedJID:
        found["mentions"] = [_person(text_of(jid), own) for jid in context.mentionedJID[:MOST]]
    if context.isForwarded:
        found["forwarded"] = True
    return found


def _person(address: str, own: Identity) -> dict[str, Any]:
    found = party_of(address, own)
    return {"jid": found.jid, "phone": found.phone, "lid": found.lid}


def _text_in_short(quoted: Any) -> str | None:
    """The text, the caption or the name that a person sees in a quotation."""
    for field, value in quoted.ListFields():
        if reader := _READERS.get(field.name):
            content = reader(value)[1]
            text = text_of(next((content[name] for name in ("text", "caption", "question") if content.get(name)), ""))
            return text if len(text) <= QUOTED else f"{text[: QUOTED - 1]}\u2026"
    return None


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", 0, b"", False)}


def _text(text: str) -> Content:
    return "text", {"text": text}


def _extended_text(value: Any) -> Content:
    return "text", {"text": value.text, **_given(link=value.matchedText, title=value.title)}


def _media(kind: str, *names: str, **constants: Any) -> Callable[[Any], Content]:
    ours = {
        "fileName": "file_name",
        "gifPlayback": "gif",
        "PTT": "voice",
        "pageCount": "pages",
        "isAnimated": "animated",
    }

    def read(value: Any) -> Content:
        content = _given(mime_type=value.mimetype, size=value.fileLength, sha256=value.fileSHA256.hex(), **constants)
        return kind, content | _given(**{ours.get(name, name): getattr(value, name) for name in names})

    return read


def _location(value: Any) -> Content:
    position = {"latitude": value.degreesLatitude, "longitude": value.degreesLongitude}
    return "location", position | _given(name=value.name, address=value.address, url=value.URL)


def _live_location(value: Any) -> Content:
    position = {"latitude": value.degreesLatitude, "longitude": value.degreesLongitude, "live": True}
    return "location", position | _given(text=value.caption)


def _contact(value: Any) -> Content:
    return "contact", {"contacts": [{"name": value.displayName, "vcard": value.vcard}]}


def _contacts(value: Any) -> Content:
    return "contact", {"contacts": [{"name": one.displayName, "vcard": one.vcard} for one in value.contacts[:MOST]]}


def _reaction(value: Any) -> Content:
    # An empty emoji takes the reaction back.
    return "reaction", {"message_id": value.key.ID, "emoji": value.text}


def _poll(value: Any) -> Content:
    options = [option.optionName for option in value.options[:MOST]]
    return "poll", {"question": value.name, "options": options, "selectable": value.selectableOptionsCount}


def _poll_vote(value: Any) -> Content:
    return "poll_vote", {"message_id": value.pollCreationMessageKey.ID}


def _buttons_reply(value: Any) -> Content:
    return "reply", {"id": value.selectedButtonID, "text": value.selectedDisplayText}


def _list_reply(value: Any) -> Content:
    return "reply", {"id": value.singleSelectReply.selectedRowID, "text": value.title}


def _template_reply(value: Any) -> Content:
    return "reply", {"id": value.selectedID, "text": value.selectedDisplayText}


def _group_invite(value: Any) -> Content:
    return "group_invite", _given(group=value.groupJID, name=value.groupName, code=value.inviteCode, text=value.caption)


_READERS: Final[dict[str, Callable[[Any], Content]]] = {
    "conversation": _text,
    "extendedTextMessage": _extended_text,
    "imageMessage": _media("image", "caption", "width", "height"),
    "videoMessage": _media("video", "caption", "width", "height", "seconds", "gifPlayback"),
    "ptvMessage": _media("video", "caption", "width", "height", "seconds", note=True),
    "audioMessage": _media("audio", "seconds", "PTT"),
    "documentMessage": _media("document", "caption", "fileName", "title", "pageCount"),
    "stickerMessage": _media("sticker", "width", "height", "isAnimated"),
    "locationMessage": _location,
    "liveLocationMessage": _live_location,
    "contactMessage": _contact,
    "contactsArrayMessage": _contacts,
    "reactionMessage": _reaction,
    "pollCreationMessage": _poll,
    "pollCreationMessageV2": _poll,
    "pollCreationMessageV3": _poll,
    "pollUpdateMessage": _poll_vote,
    "buttonsResponseMessage": _buttons_reply,
    "listResponseMessage": _list_reply,
    "templateButtonReplyMessage": _template_reply,
    "groupInviteMessage": _group_invite,
}
