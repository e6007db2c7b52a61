"""The lanes of one endpoint that wait for their time: a task for each would cost too much when ten thousand do."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from contextlib import suppress

from zapwire.core.parcels import Lane


class Agenda:
    """Lanes by `due`. A lane that was put in again counts with its newest time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Lane]] = []
        self._valid: dict[Lane, int] = {}
        self._numbers = itertools.count()
        self._changed = asyncio.Event()
        self._now = asyncio.get_running_loop().time

    def put(self, lane: Lane) -> None:
        """Let *lane* come out at `lane.due`."""
        number = next(self._numbers)
        self._valid[lane] = number
        heapq.heappush(self._heap, (lane.due, number, lane))
        self._changed.set()

    def hurry(self) -> None:
        """Let all come out now, in the order they would have come."""
        lanes = [lane for _, number, lane in sorted(self._heap) if self._valid.get(lane) == number]
        self._heap.clear()
        for lane in lanes:
            lane.due = self._now()
            self.put(lane)

    async def next(self) -> Lane:
        """Wait for the next lane that is due, and take it out."""
        while True:
            self._changed.clear()
            due, lane = self._first()
            delay = due - self._now()
            if lane is not None and delay <= 0:
                heapq.heappop(self._heap)
                del self._valid[lane]
                return lane
            with suppress(TimeoutError):
                async with asyncio.timeout(None if lane is None else delay):
                    await self._changed.wait()

    def _first(self) -> tuple[float, Lane | None]:
        while self._heap:
            due, number, lane = self._heap[0]
            if self._valid.get(lane) == number:
                return due, lane
            heapq.heappop(self._heap)
        return 0.0, None
