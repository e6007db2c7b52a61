"""The ordered, bounded queue between the engine's event thread and a bot.

When it is full the engine's thread waits (docs/engine.md's E10): back-pressure reaches Go's own channel, and from there
WhatsApp's acknowledgements. The path from here to the bot's commit is the window in which a crash loses messages
(E11), so the queue is short.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Final, TypeAlias

from zapwire.transport.whatsapp_web.threads import tell_loop

Raw: TypeAlias = tuple[int, bytes]
"""Event code and protobuf."""

CAPACITY: Final = 8


class Incoming:
    """Filled by one engine thread, emptied by one task of *loop*."""

    def __init__(self, loop: asyncio.AbstractEventLoop, capacity: int = CAPACITY) -> None:
        self._loop = loop
        self._capacity = capacity
        self._items: deque[Raw] = deque()
        self._room = threading.Condition()
        self._filled = asyncio.Event()
        self._closed = False
        self._unfinished = 0
        self._moved = time.monotonic()
        """When an item was last dealt with, or came into the empty queue."""
        self._last_put = time.monotonic()

    def put(self, item: Raw) -> None:
        """Add *item*, waiting for room; dropped once the queue is closed."""
        with self._room:
            while len(self._items) >= self._capacity and not self._closed:
                self._room.wait()
            if self._closed:
                return
            self._items.append(item)
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

    def done(self) -> None:
        """One of the items taken is dealt with."""
        with self._room:
            self._unfinished -= 1
            self._moved = time.monotonic()

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
