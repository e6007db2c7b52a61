"""Background tasks: each has a name and an owner, and one that fails says so in the log.

Nothing else in the daemon calls `asyncio.create_task`; a test checks that. The loop itself keeps only weak references,
so whoever spawns a task keeps it, or lets a `Tasks` keep it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")

FIRST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 60.0
"""Seconds between two starts of a supervised task that keeps failing: doubled from the first to this."""


def spawn(work: Coroutine[Any, Any, T], name: str, *, awaited: bool = False) -> asyncio.Task[T]:
    """Start *work* as a task called *name*; the caller keeps it.

    A failure is logged with its traceback, unless the task is *awaited*: then whoever made it reads its result.
    """
    task = asyncio.create_task(work, name=name)
    if not awaited:
        task.add_done_callback(_log_failure)
    return task


async def supervise(
    name: str,
    work: Callable[[], Awaitable[None]],
    *,
    first: float = FIRST_RETRY,
    longest: float = LONGEST_RETRY,
) -> None:
    """Run *work* until it returns; when it fails, log that and start it again with exponential backoff.

    Seconds: *first* after the first failure, doubled up to *longest*. Cancelling ends it.
    """
    delay = first
    while True:
        try:
            return await work()
        except Exception:
            log.exception("%s failed; restarting it in %g s", name, delay)
        await asyncio.sleep(delay)
        delay = min(2 * delay, longest)


class Tasks:
    """The background tasks of one owner."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, T], name: str, *, awaited: bool = False) -> asyncio.Task[T]:
        """Like the function `spawn`; the task is kept until it has ended."""
        task = spawn(work, name, awaited=awaited)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def shielded(self, work: Coroutine[Any, Any, T], name: str) -> T:
        """Run *work* to its end even when the caller is cancelled; returns its result or raises what it raises.

        For steps after which memory and database have to agree. A failure that no caller is there to see is logged.
        """
        task = self.spawn(work, name, awaited=True)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_log_failure)
            raise

    async def settled(self) -> None:
        """Wait until all of them have ended, also those that are spawned meanwhile; raises nothing."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    async def cancel(self) -> None:
        """Cancel all of them and wait until they have ended; raises nothing."""
        for task in self._tasks:
            task.cancel()
        await self.settled()


def _log_failure(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task %s failed", task.get_name(), exc_info=error)
