"""The ordered, bounded queue between the engine's event thread and a bot.

When it is full the engine's thread waits (docs/engine.md's E10): back-pressure reaches Go's own channel, and from there
WhatsApp's acknowledgements. Messages and receipts are written to the spool before anything else. Only what still waits
in Go's channel is lost in a crash (E11), so the queue of those in the spool may be long, to keep that channel empty.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from zapwire.transport.whatsapp_web.engine import event_codes
from zapwire.transport.whatsapp_web.engine.call_pool import tell_loop
from zapwire.transport.whatsapp_web.inbound.decode import without_copy
from zapwire.transport.whatsapp_web.inbound.spool import Segment, Spool

Raw: TypeAlias = tuple[int, bytes, Segment | None]
"""Event code, protobuf, and where in the spool it is."""

CAPACITY: Final = 8
SPOOLED: Final = 256
"""How many may wait that are in the spool."""


class EventQueue:
    """Filled by one engine thread, emptied by one task of *loop*."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, capacity: int = CAPACITY, *, spool: Spool | None = None
    ) -> None:
        self._loop = loop
        self._spool = spool
        self._capacity = capacity
        self._items: deque[Raw] = deque()
        self._room = threading.Condition()
        self._filled = asyncio.Event()
        self._closed = False
        self._unfinished = 0
        self._moved = time.monotonic()
        """When an item was last dealt with, or came into the empty queue."""
        self._last_put = time.monotonic()

    def put(self, code: int, data: bytes) -> None:
        """Add an event, waiting for room; once the queue is closed only the spool takes it."""
        if code == event_codes.MESSAGE:
            data = without_copy(data)
        spool = self._spool if code in event_codes.KEPT else None
        segment = spool.add(code, data) if spool is not None else None
        capacity = self._capacity if segment is None else SPOOLED
        with self._room:
            while len(self._items) >= capacity and not self._closed:
                self._room.wait()
            if self._closed:
                return
            self._items.append((code, data, segment))
            self._last_put = time.monotonic()
            first = len(self._items) == 1
            if first and not self._unfinished:
                self._moved = self._last_put
        if first:
            tell_loop(self._loop, self._filled.set)

    async def get(self) -> Raw:
        """Wait for the next item; call `done` when it is dealt with."""
        while True:
            with self._room:
                if self._items:
                    item = self._items.popleft()
                    self._unfinished += 1
                    self._room.notify()
                    return item
                self._filled.clear()
            await self._filled.wait()

    def done(self, segment: Segment | None = None, *, stored: bool = True) -> None:
        """One of the items taken is dealt with; one that is not *stored* stays in the spool."""
        if segment is not None and self._spool is not None and stored:
            self._spool.done(segment)
        with self._room:
            self._unfinished -= 1
            self._moved = time.monotonic()

    def end_of(self, segment: Segment | None) -> Callable[[bool], None]:
        """A function that calls `done` for this item."""
        return lambda stored: self.done(segment, stored=stored)

    def quiet_for(self) -> float:
        """Seconds since the last item came, or 0 while one is waiting or being dealt with."""
        with self._room:
            return 0.0 if self._items or self._unfinished else time.monotonic() - self._last_put

    def stuck_for(self) -> float:
        """Seconds for which something has waited without anything being dealt with; 0 when nothing waits."""
        with self._room:
            return time.monotonic() - self._moved if self._items or self._unfinished else 0.0

    def close(self) -> None:
        """Let a waiting engine thread go; what comes from now on is dropped."""
        with self._room:
            self._closed = True
            self._room.notify_all()
