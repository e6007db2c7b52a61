"""From the engine's protobuf events to our values.

Sources: neonize Neonize.proto (`Message`, `Receipt`, `Device`), whatsmeow events.Message.UnwrapRaw: the wrappers for
disappearing, view-once, captioned-document and own-device messages are off already.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from zapwire.jid import LID_SERVER, PHONE_SERVER
from zapwire.model import Identity, Message, MessageId, Party
from zapwire.transport.base import Receipt, ReceiptKind
from zapwire.transport.whatsapp_web.contents import read_content
from zapwire.transport.whatsapp_web.protos import neonize


def party(jid: Any, alternative: Any = None) -> Party:
    """An address with its other name, as far as the event told it; *alternative* may be an empty JID."""
    names = {address.Server: address.User for address in (alternative, jid) if address is not None and address.User}
    phone = names.get(PHONE_SERVER)
    lid = names.get(LID_SERVER)
    text = f"{jid.User}@{jid.Server}" if jid.User else str(jid.Server)
    if jid.Server not in (PHONE_SERVER, LID_SERVER):
        return Party(text)
    return Party(text, f"+{phone}" if phone else None, f"{lid}@{LID_SERVER}" if lid else None)


def read_message(event: Any, own: Identity) -> Message | None:
    """A `Neonize.Message` as a value; None for parts of the protocol that are no messages (docs/engine.md: E15)."""
    info = event.Info
    source = info.MessageSource
    content = read_content(event)
    if content is None:
        return None
    sender = party(source.Sender, source.SenderAlt)
    if source.IsFromMe:
        sender = Party(sender.jid, own.phone or sender.phone, own.lid or sender.lid)
    direct = source.Chat.Server in (PHONE_SERVER, LID_SERVER)
    alternative = (source.RecipientAlt if source.IsFromMe else source.SenderAlt) if direct else None
    return Message(
        id=MessageId(info.ID),
        chat=party(source.Chat, alternative),
        sender=sender,
        from_me=source.IsFromMe,
        timestamp=datetime.fromtimestamp(info.Timestamp / 1000, UTC),
        type=content[0],
        content=content[1],
        push_name=info.Pushname or None,
    )


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
    if kind is None or event.MessageSource.IsFromMe:
        return None
    chat = event.MessageSource.Chat
    timestamp = datetime.fromtimestamp(event.Timestamp, UTC)
    return Receipt(tuple(event.MessageIDs), kind, f"{chat.User}@{chat.Server}", timestamp)


def read_identity(device: bytes) -> Identity:
    """A `Neonize.Device` as a value."""
    me = neonize.Device.FromString(device)
    phone = me.JID.User if me.HasField("JID") else ""
    lid = me.LID.User if me.HasField("LID") else ""
    return Identity(f"+{phone}" if phone else None, f"{lid}@{LID_SERVER}" if lid else None, me.PushName or None)


def jid_bytes(user: str, server: str) -> bytes:
    """An account or group as the engine takes it."""
    jid = neonize.JID(User=user, RawAgent=0, Device=0, Integrator=0, Server=server, IsEmpty=False)
    data: bytes = jid.SerializeToString()
    return data
