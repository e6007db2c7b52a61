"""The lanes of one endpoint that wait for their time: a task for each would cost too much when ten thousand do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from contextlib import suppress

from zapwire.core.webhooks.jobs import OrderedQueue

_Entry = tuple[float, int, OrderedQueue]
"""When it is due, a number that grows, and the lane."""


class DelayQueue:
    """Lanes by `due`. A lane that was put in again counts with its newest time."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._hurried: deque[list[_Entry]] = deque()
        """Heaps whose lanes come out now, whatever their times are."""
        self._valid: dict[OrderedQueue, int] = {}
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    def put(self, lane: OrderedQueue) -> None:
        """Let *lane* come out at `lane.due`."""
        number = next(self._numbers)
        self._valid[lane] = number
        heapq.heappush(self._heap, (lane.due, number, lane))
        self._changed.set()

    def hurry(self) -> None:
        """Let all come out now, in the order they would have come; costs nothing, however many there are."""
        if self._heap:
            self._hurried.append(self._heap)
            self._heap = []
        self._changed.set()

    async def next(self) -> OrderedQueue:
        """Wait for the next lane that is due, and take it out."""
        while True:
            self._changed.clear()
            lane, delay = self._first()
            if lane is not None:
                del self._valid[lane]
                return lane
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._changed.wait()

    def _first(self) -> tuple[OrderedQueue | None, float | None]:
        """Take out the first lane that is due; else seconds until one is, None when there is none."""
        while self._hurried:
            heap = self._hurried[0]
            while heap:
                _, number, lane = heapq.heappop(heap)
                if self._valid.get(lane) == number:
                    return lane, None
            self._hurried.popleft()
        while self._heap:
            due, number, lane = self._heap[0]
            if self._valid.get(lane) == number and due > self._now():
                return None, due - self._now()
            heapq.heappop(self._heap)
            if self._valid.get(lane) == number:
                return lane, None
        return None, None
