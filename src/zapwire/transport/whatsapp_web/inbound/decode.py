"""From the engine's protobuf events about messages to our values.

Sources: neonize Neonize.proto (`Message`, `UndecryptableMessage`, `Receipt`, `Device`), whatsmeow
events.Message.UnwrapRaw: the wrappers for disappearing, view-once, captioned-document and own-device messages are off
already. Whatever bytes a stranger put into an event, these functions read it: what is no text gets U+FFFD, and what
cannot be parsed becomes an `Undecryptable`.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any, Final

from google.protobuf.message import DecodeError

from zapwire.model.bots import Identity
from zapwire.model.content.kinds import UnknownContent
from zapwire.model.content.media import MediaContent
from zapwire.model.jid import GROUP_SERVER, LID_SERVER, PHONE_SERVER
from zapwire.model.messages import Message, MessageId, Origin, Party, Undecryptable, UndecryptableReason
from zapwire.transport.protocol import HistoryOffered, Receipt, ReceiptKind, Received, Stored, Withheld
from zapwire.transport.whatsapp_web.addresses import jid_message, party
from zapwire.transport.whatsapp_web.content.decoders import innermost, read_content
from zapwire.transport.whatsapp_web.content.media import file_of
from zapwire.transport.whatsapp_web.engine import event_codes, protobuf_fields
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.engine.untrusted_text import moment_of, text_of
from zapwire.transport.whatsapp_web.inbound.history_offer import read_offer

LONGEST_ID: Final = 128
"""WhatsApp's are 16 to 32 characters; a sender may choose any."""
MOST_IDS: Final = 1024
"""Messages that one receipt may be about; WhatsApp's apps name a few dozen."""
_INFO: Final = 1
"""Number of the field `Info` of messages, and below of the field `ID` in it."""
_ID: Final = 2
_CONTENT: Final = 2
_RAW: Final = 14
"""Numbers of the fields `Message` and `Raw` of a message."""
_KIND: Final = 1000
_REASON: Final = 1001
"""Numbers of fields that are added here to an `UndecryptableMessage` before it is written down."""
_BROADCAST_SERVER: Final = "broadcast"
_STATUS: Final = "status"
_ORIGINS: Final = {
    PHONE_SERVER: Origin.PERSON,
    LID_SERVER: Origin.PERSON,
    "bot": Origin.PERSON,
    GROUP_SERVER: Origin.GROUP,
    "newsletter": Origin.CHANNEL,
    _BROADCAST_SERVER: Origin.BROADCAST,
}


def read_event(code: int, data: bytes, own: Identity) -> Stored | None:
    """What is to be stored of an event that is about a message; None when there is nothing for anybody in it."""
    if code == event_codes.RECEIPT:
        return read_receipt(neonize.Receipt.FromString(data))
    if code == event_codes.UNDECRYPTABLE:
        message = read_undecryptable(data, own)
        return Withheld(message) if message is not None else None
    if code != event_codes.MESSAGE:
        return None
    try:
        event = neonize.Message.FromString(data)
    except DecodeError:  # nested deeper than Python's parser goes, while Go's went
        return Withheld(_without_content(data, own, UndecryptableReason.UNREADABLE))
    told = read_offer(event) or read_message(event, own)
    if isinstance(told, Message):
        return Received(told)
    return told if told is None or isinstance(told, HistoryOffered) else Withheld(told)


_HEAD: Final = ("id", "chat", "sender", "from_me", "timestamp", "push_name", "origin")
"""What a message tells beside its content: fields of `Message` and of `Undecryptable`."""


def _head(info: Any, own: Identity) -> dict[str, Any]:
    """The fields `_HEAD` of a `Neonize.MessageInfo`."""
    source = info.MessageSource
    sender = party(source.Sender, source.SenderAlt)
    if source.IsFromMe:
        sender = Party(sender.jid, own.phone or sender.phone, own.lid or sender.lid)
    server = text_of(source.Chat.Server)
    origin = _ORIGINS.get(server, Origin.OTHER)
    alternative = None
    if server in (PHONE_SERVER, LID_SERVER):
        alternative = source.RecipientAlt if source.IsFromMe else source.SenderAlt
    chat = party(source.Chat, alternative)
    if origin is Origin.BROADCAST and text_of(source.Chat.User) == _STATUS:
        origin = Origin.STATUS
    elif origin is Origin.BROADCAST and not source.IsFromMe:
        chat = sender  # a contact's list is a way to write to each of its members
    return {
        "id": _message_id(text_of(info.ID)),
        "chat": chat,
        "sender": sender,
        "from_me": bool(source.IsFromMe),
        "timestamp": moment_of(info.Timestamp / 1000),
        "push_name": text_of(info.Pushname) or None,
        "origin": origin,
    }


def read_message(event: Any, own: Identity) -> Message | Undecryptable | None:
    """A `Neonize.Message` as a value; None for parts of the protocol that are no messages (docs/engine.md: E15)."""
    content = read_content(event, own)
    if content is not None and not (isinstance(content, UnknownContent) and _is_between_own_devices(event.Info)):
        file = file_of(innermost(event.Message)) if isinstance(content, MediaContent) else None
        return Message(**_head(event.Info, own), content=content, file=file)
    kind = _placeholder(event)
    if kind is None:
        return None
    return Undecryptable(UndecryptableReason.UNAVAILABLE, **_head(event.Info, own), kind=kind)


def _placeholder(event: Any) -> str | None:
    """What stands in place of a content that this device does not get, if that is what *event* is."""
    message = innermost(event.Message)
    if message.HasField("placeholderMessage"):
        kinds = message.placeholderMessage.DESCRIPTOR.fields_by_name["type"].enum_type.values_by_number
        return str(kinds[message.placeholderMessage.type].name).lower()
    once = event.IsViewOnce or event.IsViewOnceV2 or event.IsViewOnceV2Extension
    return "view_once" if once and not message.ListFields() else None


def _is_between_own_devices(info: Any) -> bool:
    """Is it of what the account's devices tell each other: keys, history, app state?"""
    return bool(info.MessageSource.IsFromMe) and text_of(info.Category) == "peer"


def read_undecryptable(data: bytes, own: Identity) -> Undecryptable | None:
    """A `Neonize.UndecryptableMessage`, with what `with_kind` or `unreadable_event` added to it, as a value; None when
    it was for the account's devices only.
    """
    try:
        event = neonize.UndecryptableMessage.FromString(data)
        kinds, reasons = protobuf_fields.values(data, _KIND), protobuf_fields.values(data, _REASON)
    except (DecodeError, ValueError):
        return _without_content(data, own, UndecryptableReason.UNREADABLE)
    if _is_between_own_devices(event.Info):
        return None
    reason = UndecryptableReason.UNAVAILABLE if event.IsUnavailable else UndecryptableReason.NOT_DECRYPTED
    head = _head(event.Info, own)
    if reasons:
        reason, head["id"] = UndecryptableReason(reasons[-1].decode()), None
    hidden = event.DecryptFailMode == neonize.UndecryptableMessage.DECRYPT_FAIL_HIDE
    return Undecryptable(reason, **head, kind=text_of(kinds[-1]) if kinds else None, hidden=hidden)


def id_of(data: bytes) -> str | None:
    """The id in a serialized `Message` or `UndecryptableMessage`, without parsing all of it."""
    try:
        return text_of(protobuf_fields.values(protobuf_fields.values(data, _INFO)[0], _ID)[0])
    except (ValueError, IndexError):
        return None


def without_copy(data: bytes) -> bytes:
    """A serialized `Message` without its second copy of the content (`Raw`), which makes up half of it."""
    content, copies = False, []
    try:
        for number, start, _, end in protobuf_fields.fields(data):
            if number == _CONTENT:
                content = True
            elif number == _RAW:
                copies.append((start, end))
    except ValueError:
        return data
    if not content:
        return data
    for start, end in reversed(copies):
        data = data[:start] + data[end:]
    return data


def with_kind(data: bytes, kind: str) -> bytes:
    """An `UndecryptableMessage` with the word that the engine's log had for what is unavailable."""
    return data + protobuf_fields.text_field(_KIND, kind)


def unreadable_event(sender: str, chat: str) -> bytes:
    """An `UndecryptableMessage` for a message of which only a line of the engine's log told; by two JIDs."""
    source = neonize.MessageSource(IsFromMe=False, IsGroup=False)
    for place, text in ((source.Chat, chat), (source.Sender, sender)):
        user, _, server = text.rpartition("@")
        place.CopyFrom(jid_message(user.partition(":")[0].partition(".")[0], server))
    for place in (source.SenderAlt, source.RecipientAlt, source.BroadcastListOwner):
        place.CopyFrom(jid_message("", ""))
    now = int(datetime.now(UTC).timestamp() * 1000)
    info = neonize.MessageInfo(
        MessageSource=source, ID="", ServerID=0, Type="", Pushname="", Timestamp=now, Category="", Multicast=False,
        MediaType="", Edit="",
    )  # fmt: skip
    event = neonize.UndecryptableMessage(Info=info, IsUnavailable=False, DecryptFailMode="DECRYPT_FAIL_SHOW")
    data: bytes = event.SerializeToString()
    return data + protobuf_fields.text_field(_REASON, UndecryptableReason.UNREADABLE.value)


def broken(code: int, data: bytes, own: Identity) -> Undecryptable | None:
    """What is told of an event on which our own code failed; None when it was no message."""
    return None if code == event_codes.RECEIPT else _without_content(data, own, UndecryptableReason.INTERNAL_ERROR)


def _without_content(data: bytes, own: Identity, reason: UndecryptableReason) -> Undecryptable:
    try:
        head = _head(neonize.MessageInfo.FromString(protobuf_fields.values(data, _INFO)[0]), own)
    except Exception:  # noqa: BLE001 - nothing is known then, and that is told
        head = {}
    return Undecryptable(reason, **head)


def of_message(message: Message, reason: UndecryptableReason) -> Undecryptable:
    """What is told of a message that can be read and cannot be stored."""
    head = {name: getattr(message, name) for name in _HEAD}
    return Undecryptable(reason, **head)


def _message_id(text: str) -> MessageId:
    """*text* where it is an id; another one, always the same, where it is empty or too long to be kept."""
    if 0 < len(text) <= LONGEST_ID:
        return MessageId(text)
    return MessageId(f"{text[:32]}~{hashlib.sha256(text.encode()).hexdigest()[:32]}")


_KINDS: Final = {
    neonize.Receipt.DELIVERED: ReceiptKind.DELIVERED,
    # What a recipient with no open WhatsApp sends; the message did arrive.
    neonize.Receipt.INACTIVE: ReceiptKind.DELIVERED,
    neonize.Receipt.READ: ReceiptKind.READ,
    neonize.Receipt.PLAYED: ReceiptKind.PLAYED,
}


def read_receipt(event: Any) -> Receipt | None:
    """A `Neonize.Receipt` as a value; None for those between the account's own devices, retries and protocol parts."""
    kind = _KINDS.get(event.Type)
    # An unknown type is left out of the field, which then reads as its first value.
    if kind is None or not event.HasField("Type") or event.MessageSource.IsFromMe:
        return None
    ids = tuple(text_of(one) for one in event.MessageIDs[:MOST_IDS])
    source = event.MessageSource
    chat, sender = party(source.Chat), party(source.Sender, source.SenderAlt)
    recipient = None if text_of(source.Chat.Server) in (PHONE_SERVER, LID_SERVER) or "@" not in sender.jid else sender
    return Receipt(ids, kind, chat.jid, moment_of(event.Timestamp), recipient)


def read_identity(device: bytes) -> Identity:
    """A `Neonize.Device` as a value."""
    me = neonize.Device.FromString(device)
    phone = text_of(me.JID.User) if me.HasField("JID") else ""
    lid = text_of(me.LID.User) if me.HasField("LID") else ""
    return Identity(
        f"+{phone}" if phone else None, f"{lid}@{LID_SERVER}" if lid else None, text_of(me.PushName) or None
    )
