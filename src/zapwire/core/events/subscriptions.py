"""The journal for those who read along: by page, or as a stream that never loses and never holds up anybody else.

A reader is a cursor. It is given what comes after the cursor, from memory when it keeps up and from the database when
it does not, and it is woken by commits. A slow reader delays itself only: nothing is kept for it. What was pruned
before a reader came to it, or cannot be read because its row is damaged, is reported as an `EventGap`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass, field, replace

from zapwire.model.errors import InvalidInput
from zapwire.model.events import Event, EventType, LostEvent
from zapwire.store.ports import Store, View

PAGE_LARGEST = 1000
_READ_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class EventGap:
    """Events that are gone, between a reader's cursor and the next one that is there; both ends included."""

    from_seq: int
    to_seq: int


@dataclass(frozen=True, slots=True)
class EventPage:
    """Some events and where to read on."""

    events: list[Event]
    next_after: int
    """The cursor for the next page; also past events that were filtered out."""
    gap: EventGap | None = None
    """What lay before these events and is gone."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events a reader wants; None stands for all."""

    bots: frozenset[str] | None = None
    types: frozenset[str] | None = None

    @classmethod
    def of(cls, bots: Collection[str] | None, types: Collection[str] | None) -> Filter:
        """*types* may have families, like `message.*`. Raises `InvalidInput` for one that does not exist."""
        return cls(None if bots is None else frozenset(bots), None if types is None else _expand(types))

    def takes(self, event: Event) -> bool:
        """Is *event* wanted?"""
        return (self.bots is None or event.bot in self.bots) and (self.types is None or event.type.value in self.types)


@dataclass(slots=True)
class Subscriber:
    """One reader that keeps on reading."""

    database: Store
    cursor: int
    """Everything up to here was handed out or filtered out."""
    wanted: Filter = field(default_factory=Filter)

    async def batch(self) -> list[Event | EventGap]:
        """The next events that match, in order; waits until there is one."""
        tail = self.database.tail
        while True:
            wake = tail.wake
            events = tail.after(self.cursor)
            if events is None:
                found = await self._from_table()
            elif events:
                self.cursor = events[-1].seq
                found = [event for event in events if self.wanted.takes(event)]
            else:
                await wake.wait()
                continue
            if found:
                return found

    async def _from_table(self) -> list[Event | EventGap]:
        page = await _read(self.database, self.cursor, self.wanted, _READ_AT_ONCE)
        self.cursor = page.next_after
        return [*([page.gap] if page.gap is not None else []), *page.events]


class Subscriptions:
    """Readers of the journal."""

    def __init__(self, database: Store) -> None:
        self._database = database

    async def last_seq(self) -> int:
        """The newest event's number, 0 when there never was one."""
        return self._database.tail.last_seq

    async def page(
        self,
        after: int | None = None,
        *,
        bots: Collection[str] | None = None,
        types: Collection[str] | None = None,
        limit: int = 100,
        wait: float = 0,
    ) -> EventPage:
        """Up to *limit* events after *after* (None: from the oldest there is); waits *wait* seconds for a first one.

        Raises `InvalidInput` (after, types, limit).
        """
        wanted = self._checked(after, bots, types)
        if not 1 <= limit <= PAGE_LARGEST:
            raise InvalidInput(f"a number from 1 to {PAGE_LARGEST}", field="limit")
        page = await _fill(self._database, after, wanted, limit)
        if page.events or page.gap is not None or wait <= 0:
            return page
        follower = Subscriber(self._database, page.next_after, wanted)
        try:
            async with asyncio.timeout(wait):
                found = await follower.batch()
        except TimeoutError:
            return EventPage([], follower.cursor)
        events = [one for one in found if isinstance(one, Event)][:limit]
        gap = next((one for one in found if isinstance(one, EventGap)), None)
        return EventPage(events, events[-1].seq if len(events) == limit else follower.cursor, gap)

    def follower(
        self,
        after: int | None = None,
        *,
        bots: Collection[str] | None = None,
        types: Collection[str] | None = None,
    ) -> Subscriber:
        """A reader of all that comes after *after* (None: from now on). Raises `InvalidInput` (after, types)."""
        wanted = self._checked(after, bots, types)
        return Subscriber(self._database, self._database.tail.last_seq if after is None else after, wanted)

    def follow(
        self, after: int | None = None, *, bots: Collection[str] | None = None, types: Collection[str] | None = None
    ) -> AsyncIterator[Event]:
        """All events after *after* (None: that come from now on), for ever. Raises `InvalidInput` at once.

        For readers inside the daemon: what was pruned is left out.
        """
        return _events(self.follower(after, bots=bots, types=types))

    def _checked(self, after: int | None, bots: Collection[str] | None, types: Collection[str] | None) -> Filter:
        last = self._database.tail.last_seq
        if after is not None and not 0 <= after <= last:
            # Waiting for that number would pass over all events up to it.
            raise InvalidInput(
                f"the number of an event or 0; the newest event has {last}. A larger one is of another journal, "
                "or of this one before an older copy was put back",
                field="after",
            )
        return Filter.of(bots, types)


async def _events(follower: Subscriber) -> AsyncIterator[Event]:
    while True:
        for one in await follower.batch():
            if isinstance(one, Event):
                yield one


async def _fill(database: Store, after: int | None, wanted: Filter, limit: int) -> EventPage:
    """A page with as many events as there are, up to *limit* or the next gap, in reads that are short each."""
    upto = database.tail.last_seq
    page = await _read(database, after, wanted, limit)
    while len(page.events) < limit and page.next_after < upto:
        more = await _read(database, page.next_after, wanted, limit - len(page.events))
        if more.gap is not None and (page.events or page.gap is not None):
            return page  # the next one begins with it
        page = EventPage([*page.events, *more.events], more.next_after, page.gap or more.gap)
    return page


async def _read(database: Store, after: int | None, wanted: Filter, limit: int) -> EventPage:
    upto = database.tail.last_seq

    def work(view: View) -> EventPage:
        floor = view.journal.floor()
        start = floor if after is None else max(after, floor)
        found, cursor = view.journal.read(start, limit, upto=upto, bots=wanted.bots, types=wanted.types)
        page = _page(found, cursor)
        if after is None or after >= floor:
            return page
        return replace(page, gap=EventGap(after + 1, floor if page.gap is None else page.gap.to_seq))

    return await database.read(work)


def _page(found: list[Event | LostEvent], cursor: int) -> EventPage:
    """What can be told of *found* at once: the gap it may begin with, and the events up to the next one."""
    gap: EventGap | None = None
    events: list[Event] = []
    for one in found:
        if isinstance(one, Event):
            events.append(one)
        elif events:
            return EventPage(events, events[-1].seq, gap)
        else:
            gap = EventGap(one.seq if gap is None else gap.from_seq, one.seq)
    return EventPage(events, cursor, gap)


def _expand(types: Collection[str]) -> frozenset[str]:
    known = {kind.value for kind in EventType}
    found: set[str] = set()
    for word in types:
        family = word.removesuffix("*")
        matching = {kind for kind in known if kind.startswith(family)} if word.endswith(".*") else known & {word}
        if not matching:
            raise InvalidInput(f"no such type of event; there are {', '.join(sorted(known))}", field="types")
        found |= matching
    return frozenset(found)
