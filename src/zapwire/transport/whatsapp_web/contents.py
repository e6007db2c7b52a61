"""What a message says: its type and content, from the engine's waE2E protobuf.

Source: WAWebProtobufsE2E.proto. A type without a reader of its own stays visible as `unknown` with the name of its
field.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from zapwire.transport.whatsapp_web.protos import e2e

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
_WRAPPER: Final = "FutureProofMessage"


def read_content(event: Any) -> Content | None:
    """Type and content of a `Neonize.Message`; None when it holds nothing for a person."""
    content = _read(event.Message)
    if content is not None:
        if event.IsViewOnce:
            content[1]["view_once"] = True
        if event.IsEphemeral:
            content[1]["disappearing"] = True
    return content


def _read(message: Any) -> Content | None:
    if message.HasField("protocolMessage"):
        return _protocol(message.protocolMessage)
    fields = [(field.name, value) for field, value in message.ListFields() if field.name not in _CARRIERS]
    if not fields:
        return None
    for name, value in fields:
        if reader := _READERS.get(name):
            kind, content = reader(value)
            if hasattr(value, "HasField") and "contextInfo" in value.DESCRIPTOR.fields_by_name:
                content |= _context(value.contextInfo)
            return kind, content
    name, value = fields[0]
    if getattr(value, "DESCRIPTOR", None) is not None and value.DESCRIPTOR.name == _WRAPPER:
        return _read(value.message)  # one that the engine leaves on
    return "unknown", {"whatsapp_type": name}


def _protocol(part: Any) -> Content | None:
    kinds = e2e.ProtocolMessage
    if part.type == kinds.REVOKE and part.HasField("key"):
        return "revoke", {"message_id": part.key.ID}
    if part.type == kinds.MESSAGE_EDIT:
        edited = _read(part.editedMessage)
        kind, content = edited if edited is not None else ("unknown", {})
        return "edit", {"message_id": part.key.ID, "type": kind, **content}
    return None  # history, app state keys and the like, between the account's own devices


def _context(context: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if context.stanzaID:
        found["quoted"] = {"message_id": context.stanzaID, "sender": context.participant or None}
    if context.mentionedJID:
        found["mentions"] = list(context.mentionedJID)
    if context.isForwarded:
        found["forwarded"] = True
    return found


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
    return "contact", {"contacts": [{"name": one.displayName, "vcard": one.vcard} for one in value.contacts]}


def _reaction(value: Any) -> Content:
    # An empty emoji takes the reaction back.
    return "reaction", {"message_id": value.key.ID, "emoji": value.text}


def _poll(value: Any) -> Content:
    options = [option.optionName for option in value.options]
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
