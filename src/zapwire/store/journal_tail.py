"""The newest events in memory, and the wake-up for everybody who follows the journal.

Every follower keeps a cursor of its own and asks "what is after it". Those who keep up are answered from here without
touching the database; the others read the journal's table. The wake-up carries no data: it only says "look again".
Not thread-safe: everything happens on the event loop, after the commit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from zapwire.model.bots import BotId
from zapwire.model.events import Event

KEPT = 2000
"""How many events are kept in memory."""
KEPT_SIZE = 16 << 20
"""And bytes of their data, as JSON."""


class JournalTail:
    """All events after `floor`, at most *kept* of them, and those no larger than *kept_size* together."""

    def __init__(self, last_seq: int, kept: int = KEPT, kept_size: int = KEPT_SIZE) -> None:
        self._events: deque[Event] = deque()
        self._kept = kept
        self._kept_size = kept_size
        self._size = 0
        self._floor = last_seq
        self.last_seq = last_seq
        """The newest event's number, also when it is no longer kept."""
        self.wake = asyncio.Event()
        """Set once, at the next commit with events; take it *before* reading, then wait for it."""

    def publish(self, events: Sequence[Event]) -> None:
        """Take in events that were just committed, in order, and wake everybody."""
        if not events:
            return
        self._events.extend(events)
        self._size += sum(event.size for event in events)
        self.last_seq = events[-1].seq
        while len(self._events) > self._kept or (self._size > self._kept_size and self._events):
            oldest = self._events.popleft()
            self._floor = oldest.seq
            self._size -= oldest.size
        wake, self.wake = self.wake, asyncio.Event()
        wake.set()

    def after(self, cursor: int) -> list[Event] | None:
        """The events after *cursor* in order, or None when some of them are only in the database."""
        if cursor < self._floor:
            return None
        found: list[Event] = []
        for event in reversed(self._events):
            if event.seq <= cursor:
                break
            found.append(event)
        found.reverse()
        return found

    def forget(self, bot: BotId, before: int) -> None:
        """Drop the events of a deleted bot that have a number below *before*."""
        self._events = deque(event for event in self._events if event.bot != bot or event.seq >= before)
        self._size = sum(event.size for event in self._events)
