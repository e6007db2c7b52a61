"""How many deliveries each endpoint may make at the same time, so that mute receivers hold up nobody else.

A receiver that takes connections and never answers keeps as many deliveries open as it may have, until they time out.
With one queue for all, a few of them would keep everybody else waiting. So nobody waits for another endpoint: each has
an equal share of the whole, whatever the others do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class ConcurrencyLimits:
    """*total* deliveries at the same time, or one for each endpoint if those are more."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._members = 0

    @contextmanager
    def member(self) -> Iterator[None]:
        """An endpoint that takes part."""
        self._members += 1
        try:
            yield
        finally:
            self._members -= 1

    @property
    def each(self) -> int:
        """What each of them may have now."""
        return max(1, self._total // max(1, self._members))


class ConcurrencyLimit:
    """One endpoint's share, *most* at the most: a semaphore whose bound follows the number of endpoints."""

    def __init__(self, shares: ConcurrencyLimits, most: int) -> None:
        self._limits_of = shares
        self._most = most
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def __aenter__(self) -> None:
        if not self._waiting and self._taken < self._bound:
            self._taken += 1
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():  # it was given one in the same moment
                await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._taken -= 1
        while self._waiting and self._taken < self._bound:
            future = self._waiting.popleft()
            if not future.done():
                self._taken += 1
                future.set_result(None)

    @property
    def _bound(self) -> int:
        return min(self._most, self._limits_of.each)
