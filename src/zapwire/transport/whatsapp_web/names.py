"""The other name of an address, from the engine's store, when an event told only one."""

from __future__ import annotations

from dataclasses import replace

from zapwire.errors import NotConnected
from zapwire.jid import LID_SERVER, PHONE_SERVER
from zapwire.model import Message, Party
from zapwire.transport.whatsapp_web.library import Library
from zapwire.transport.whatsapp_web.messages import jid_bytes
from zapwire.transport.whatsapp_web.protos import neonize
from zapwire.transport.whatsapp_web.session import Session


async def complete(message: Message, session: Session, library: Library) -> Message:
    """*message* with both names of its chat and its sender, as far as they are known."""
    try:
        chat = await _complete(message.chat, session, library)
        same = message.sender == message.chat
        sender = chat if same else await _complete(message.sender, session, library)
    except NotConnected:  # being stopped; the message matters more than its names
        return message
    return replace(message, chat=chat, sender=sender)


async def _complete(party: Party, session: Session, library: Library) -> Party:
    if party.lid is not None and party.phone is None:
        user = party.lid.partition("@")[0]
        found = _user(await session.call(library.phone_of_lid, jid_bytes(user, LID_SERVER)))
        return replace(party, phone=f"+{found}") if found else party
    if party.phone is not None and party.lid is None:
        found = _user(await session.call(library.lid_of_phone, jid_bytes(party.phone[1:], PHONE_SERVER)))
        return replace(party, lid=f"{found}@{LID_SERVER}") if found else party
    return party


def _user(answer: bytes) -> str:
    user: str = neonize.GetJIDFromStoreReturnFunction.FromString(answer).Jid.User
    return user
