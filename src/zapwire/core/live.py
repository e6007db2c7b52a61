"""The journal for those who read along: by page, or as a stream that never loses and never holds up anybody else.

A reader is a cursor. It is given what comes after the cursor, from memory when it keeps up and from the database when
it does not, and it is woken by commits. A slow reader delays itself only: nothing is kept for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from zapwire.errors import InvalidInput
from zapwire.events import Event, EventType
from zapwire.store import journal
from zapwire.store.db import Database

PAGE_LARGEST = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Some events and where to read on."""

    events: list[Event]
    next_after: int
    """The cursor for the next page; also past events that were filtered out."""


class Live:
    """Readers of the journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def last_seq(self) -> int:
        """The newest event's number, 0 when there never was one."""
        return self._database.tail.last_seq

    async def page(
        self,
        after: int = 0,
        *,
        bots: Collection[str] | None = None,
        types: Collection[str] | None = None,
        limit: int = 100,
    ) -> Page:
        """Up to *limit* events after *after*. Raises `InvalidInput` (after, types, limit)."""
        _check(after, types)
        if not 1 <= limit <= PAGE_LARGEST:
            raise InvalidInput(f"a number from 1 to {PAGE_LARGEST}", field="limit")
        upto = self._database.tail.last_seq
        events, cursor = await self._database.read(
            lambda sql: journal.read(sql, after, limit, upto=upto, bots=bots, types=types)
        )
        return Page(events, cursor)

    def follow(
        self, after: int | None = None, *, bots: Collection[str] | None = None, types: Collection[str] | None = None
    ) -> AsyncIterator[Event]:
        """All events after *after* (None: that come from now on), for ever. Raises `InvalidInput` at once."""
        _check(after or 0, types)
        return self._follow(self._database.tail.last_seq if after is None else after, bots, types)

    async def _follow(
        self, cursor: int, bots: Collection[str] | None, types: Collection[str] | None
    ) -> AsyncIterator[Event]:
        tail = self._database.tail
        while True:
            wake = tail.wake
            events = tail.after(cursor)
            if events is None:
                page = await self.page(cursor, bots=bots, types=types)
                for event in page.events:
                    yield event
                cursor = page.next_after
                continue
            if not events:
                await wake.wait()
                continue
            for event in events:
                if (bots is None or event.bot in bots) and (types is None or event.type.value in types):
                    yield event
            cursor = events[-1].seq


def _check(after: int, types: Collection[str] | None) -> None:
    if after < 0 or after >= 2**63:
        raise InvalidInput("the number of an event, or 0", field="after")
    known = {kind.value for kind in EventType}
    for kind in types or ():
        if kind not in known:
            raise InvalidInput(f"no such type of event; there are {', '.join(sorted(known))}", field="types")
