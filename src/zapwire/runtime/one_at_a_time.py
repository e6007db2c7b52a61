"""Work that takes much memory or processor, one piece after the other, in a thread that nothing else waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

from zapwire.model.errors import TooMany

T = TypeVar("T")


class SerialThread:
    """A thread of its own; whoever wants it takes a ticket first, of which there are *most*."""

    def __init__(self, name: str, most: int, retry_after: float) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._queue = SerialQueue(name, most, retry_after)

    @contextmanager
    def ticket(self) -> Iterator[None]:
        """A place in the queue. Raises `TooMany` when there is none."""
        with self._queue.ticket():
            yield

    async def run(self, work: Callable[..., T], *arguments: object) -> T:
        """The result of *work*, once it was its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)


class SerialQueue:
    """How many may be under way or wait: *most*; and of these *at_once* under way."""

    def __init__(self, name: str, most: int, retry_after: float, at_once: int = 1) -> None:
        self._name = name
        self._left = most
        self._retry_after = retry_after
        self._turn = asyncio.Semaphore(at_once)

    @contextmanager
    def ticket(self) -> Iterator[None]:
        """A place in the queue. Raises `TooMany` when there is none."""
        if self._left == 0:
            raise TooMany(f"too many of these at one time: {self._name}", retry_after=self._retry_after)
        self._left -= 1
        try:
            yield
        finally:
            self._left += 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn. Raises `TooMany` when too many wait."""
        with self.ticket():
            async with self._turn:
                yield
