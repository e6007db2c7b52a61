"""The other address of a person, from the engine's store, when an event gave only one.

It stands in the way of what comes in, so it costs little: the answer is remembered for the session, and that there is
none for `NOT_KNOWN_FOR`; a store that does not answer in time is left alone for a while. A message without its second
address goes on with the first.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, Protocol, TypeVar

from zapwire.model.content.base import Content, Person
from zapwire.model.content.kinds import EditContent
from zapwire.model.errors import TransportError
from zapwire.model.jid import LID_SERVER, PHONE_SERVER
from zapwire.model.messages import Message, Party

ContentT = TypeVar("ContentT", bound=Content)

DEADLINE: Final = 2.0
"""Seconds; the engine's store needs less than a millisecond."""
LEFT_ALONE: Final = 30.0
"""Seconds without a question after one that was not answered."""
NOT_KNOWN_FOR: Final = 600.0
"""Seconds without a question about an address of which the store knows no other one."""
REMEMBERED: Final = 1024
MENTIONED: Final = 8
"""People that a message mentions whose other address is asked for: a stranger may mention a thousand."""


class AddressStore(Protocol):
    """What the engine's store knows. Both raise `TransportError` and TimeoutError."""

    async def phone_of_lid(self, user: str, within: float) -> str | None:
        """The phone number (digits) of the account with this LID (its user part)."""

    async def lid_of_phone(self, user: str, within: float) -> str | None:
        """The user part of the LID of the account with this phone number (digits)."""


class LidLookup:
    """The addresses that one session has learnt."""

    def __init__(self, store: AddressStore) -> None:
        self._store = store
        self._known: dict[str, tuple[str | None, float]] = {}
        """By address: the user part of the other one, or None, and when that was learnt; the oldest first."""
        self._silent_until = 0.0

    async def complete(self, message: Message) -> Message:
        """*message* with both addresses of its chat, its sender and whom it names, as far as they are known. Raises
        nothing.
        """
        chat = await self._complete(message.chat)
        sender = chat if message.sender == message.chat else await self._complete(message.sender)
        return replace(message, chat=chat, sender=sender, content=await self._content(message.content))

    async def _content(self, content: ContentT) -> ContentT:
        changed = dict[str, object]()
        if content.quoted is not None and content.quoted.sender is not None:
            quoted = await self._person(content.quoted.sender)
            changed["quoted"] = content.quoted.model_copy(update={"sender": quoted})
        if content.mentions:
            named = [await self._person(one) for one in content.mentions[:MENTIONED]]
            changed["mentions"] = (*named, *content.mentions[MENTIONED:])
        if isinstance(content, EditContent):
            changed["content"] = await self._content(content.content)
        return content.model_copy(update=changed) if changed else content

    async def _person(self, person: Person) -> Person:
        found = await self._complete(Party(person.jid, person.phone, person.lid))
        return person.model_copy(update={"phone": found.phone, "lid": found.lid})

    async def _complete(self, party: Party) -> Party:
        if party.lid is not None and party.phone is None:
            user = party.lid.partition("@")[0]
            found = await self._other(self._store.phone_of_lid, user, f"{user}@{LID_SERVER}")
            return replace(party, phone=f"+{found}") if found else party
        if party.phone is not None and party.lid is None:
            user = party.phone[1:]
            found = await self._other(self._store.lid_of_phone, user, f"{user}@{PHONE_SERVER}")
            return replace(party, lid=f"{found}@{LID_SERVER}") if found else party
        return party

    async def _other(
        self, look_up: Callable[[str, float], Awaitable[str | None]], user: str, address: str
    ) -> str | None:
        found, learnt = self._known.get(address, (None, -NOT_KNOWN_FOR))
        now = time.monotonic()
        if found is not None or now < learnt + NOT_KNOWN_FOR or now < self._silent_until:
            return found
        try:
            found = await look_up(user, DEADLINE)
        except (TransportError, TimeoutError):
            self._silent_until = time.monotonic() + LEFT_ALONE
            return None
        self._known[address] = (found, now)
        if len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return found
