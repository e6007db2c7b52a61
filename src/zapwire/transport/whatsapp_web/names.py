"""The other name of an address, from the engine's store, when an event told only one.

It stands in the way of what comes in, so it costs little: what was found is remembered for the session, and a store
that does not answer in time is left alone for a while. A message without its second name goes on with the first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from zapwire.errors import TransportError
from zapwire.jid import LID_SERVER, PHONE_SERVER
from zapwire.model import Message, Party
from zapwire.transport.whatsapp_web.exports import BadArgument
from zapwire.transport.whatsapp_web.library import Library
from zapwire.transport.whatsapp_web.messages import jid_bytes
from zapwire.transport.whatsapp_web.protos import neonize
from zapwire.transport.whatsapp_web.session import Session
from zapwire.transport.whatsapp_web.texts import text_of

DEADLINE: Final = 2.0
"""Seconds; the engine's store needs less than a millisecond."""
LEFT_ALONE: Final = 30.0
"""Seconds without a question after one that was not answered."""
REMEMBERED: Final = 1024
NAMED: Final = 8
"""People that a message mentions whose other names are asked for: a stranger may mention a thousand."""


class Names:
    """The names that one session has learnt."""

    def __init__(self, session: Session, library: Library) -> None:
        self._session = session
        self._library = library
        self._known: dict[str, str] = {}
        """By the user part with its server, the user part of the other name; the oldest first."""
        self._silent_until = 0.0

    async def complete(self, message: Message) -> Message:
        """*message* with both names of its chat, its sender and whom it names, as far as they are known. Raises
        nothing.
        """
        chat = await self._complete(message.chat)
        sender = chat if message.sender == message.chat else await self._complete(message.sender)
        quoted, mentions = message.content.get("quoted"), message.content.get("mentions", [])
        for person in ([quoted["sender"]] if quoted and quoted["sender"] else []) + mentions[:NAMED]:
            found = await self._complete(Party(person["jid"], person["phone"], person["lid"]))
            person["phone"], person["lid"] = found.phone, found.lid
        return replace(message, chat=chat, sender=sender)

    async def _complete(self, party: Party) -> Party:
        if party.lid is not None and party.phone is None:
            found = await self._other(self._library.phone_of_lid, party.lid.partition("@")[0], LID_SERVER)
            return replace(party, phone=f"+{found}") if found else party
        if party.phone is not None and party.lid is None:
            found = await self._other(self._library.lid_of_phone, party.phone[1:], PHONE_SERVER)
            return replace(party, lid=f"{found}@{LID_SERVER}") if found else party
        return party

    async def _other(self, look_up: Callable[[bytes, bytes], bytes], user: str, server: str) -> str:
        """The user part of the other name; empty when it is not known."""
        address = f"{user}@{server}"
        if (known := self._known.get(address)) is not None:
            return known
        now = asyncio.get_running_loop().time()
        if now < self._silent_until:
            return ""
        try:
            answer = await self._session.look_up(look_up, jid_bytes(user, server), within=DEADLINE)
        except BadArgument:  # a stranger's odd address, which has no other name
            return ""
        except (TransportError, TimeoutError):
            self._silent_until = now + LEFT_ALONE
            return ""
        found = text_of(neonize.GetJIDFromStoreReturnFunction.FromString(answer).Jid.User)
        if found:
            self._known[address] = found
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
        return found
