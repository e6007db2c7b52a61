"""Much work in many small writes, each as large as it can be without holding up the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

from zapwire.store.ports import UnitOfWork

T = TypeVar("T")

AIM: Final = 0.01
"""Seconds of the writer's time that one step may take, commit included."""
FIRST: Final = 100
FEWEST: Final = 10
MOST: Final = 5000
"""Rows in one step."""
REST: Final = 0.005
"""Seconds between two steps at least; as long as the step took if that is more."""

Step = Callable[[UnitOfWork, int], int]
"""Does something with at most so many rows; returns with how many. Fewer than allowed: that was the last step."""


class Write(Protocol):
    """`Store.write`."""

    def __call__(self, work: Callable[[UnitOfWork], T], /) -> Awaitable[T]:
        """Run *work* in a transaction."""


async def in_chunks(write: Write, step: Step, *, rest: float = REST) -> int:
    """Do *step* until nothing is left; returns with how many rows that was. Raises `StoreError`."""
    size, total = FIRST, 0
    while True:
        timed = _Timed(step, size)
        count, took = await write(timed), timed.took
        total += count
        if count < size:
            return total
        size = fitting(size, took)
        await asyncio.sleep(max(rest, took))


def fitting(size: int, took: float) -> int:
    """How many rows the next step may have when one of *size* rows took so many seconds."""
    wanted = int(size * AIM / max(took, 1e-6))
    return max(FEWEST, min(MOST, wanted, 2 * size))


class _Timed:
    """One step, and how long it kept the writer."""

    def __init__(self, step: Step, size: int) -> None:
        self._step = step
        self._size = size
        self._began = 0.0
        self.took = 0.0

    def __call__(self, transaction: UnitOfWork) -> int:
        self._began = time.monotonic()
        transaction.after_commit.append(self._committed)
        return self._step(transaction, self._size)

    def _committed(self) -> None:
        self.took = time.monotonic() - self._began
