"""Addresses of people and chats, as the engine's events and WhatsApp's protobufs write them."""

from __future__ import annotations

from typing import Any

from zapwire.model.bots import Identity
from zapwire.model.jid import LID_SERVER, PHONE_SERVER, phone_jid
from zapwire.model.messages import Party
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.engine.untrusted_text import text_of


def party(jid: Any, alternative: Any = None) -> Party:
    """A `Neonize.JID` with its other name, as far as the event told it; *alternative* may be an empty JID."""
    both = [(text_of(address.Server), text_of(address.User)) for address in (alternative, jid) if address is not None]
    names = {server: user for server, user in both if user}
    server, user = both[-1]
    text = f"{user}@{server}" if user else server
    if server not in (PHONE_SERVER, LID_SERVER):
        return Party(text)
    phone, lid = names.get(PHONE_SERVER), names.get(LID_SERVER)
    return Party(text, f"+{phone}" if phone else None, f"{lid}@{LID_SERVER}" if lid else None)


def party_of(text: str, own: Identity) -> Party:
    """An address in a content, `user[.agent][:device]@server`, without its device; that of the account itself with
    both names.
    """
    user, at, server = text.rpartition("@")
    user = user.partition(":")[0].partition(".")[0]
    jid = f"{user}@{server}" if at else text
    phone = f"+{user}" if server == PHONE_SERVER and user else None
    lid = jid if server == LID_SERVER and user else None
    if (phone is not None and phone == own.phone) or (lid is not None and lid == own.lid):
        return Party(jid, own.phone or phone, own.lid or lid)
    return Party(jid, phone, lid)


def address_for(party: Party, chat: str) -> str:
    """The JID under which *party* is named in *chat* (a JID): groups and LID chats know people by their LID."""
    if chat.endswith(f"@{PHONE_SERVER}"):
        return phone_jid(party.phone) if party.phone is not None else party.jid
    return party.lid or party.jid


def jid_bytes(user: str, server: str) -> bytes:
    """An account or group as the engine takes it."""
    data: bytes = jid_message(user, server).SerializeToString()
    return data


def jid_message(user: str, server: str) -> Any:
    """A `Neonize.JID` without a device; with no *user* an empty one."""
    return neonize.JID(User=user, RawAgent=0, Device=0, Integrator=0, Server=server, IsEmpty=not user)
