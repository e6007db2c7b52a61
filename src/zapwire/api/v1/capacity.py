"""How many bots and webhooks there may be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from zapwire.model.errors import Conflict


class CapacityBound:
    """At most *most* of something, which the setting of that *name* says."""

    def __init__(self, name: str, most: int) -> None:
        self._name = name
        self._most = most
        self._making = 0
        self._made = 0

    @asynccontextmanager
    async def one_more(self, count: Callable[[], Awaitable[int]]) -> AsyncIterator[None]:
        """One more is being made while there are as many as *count* finds. Raises `Conflict` when that is too many."""
        before = self._made
        # Those that were made while it counted may be missing in what it found.
        if await count() + self._made - before + self._making >= self._most:
            raise Conflict(f"the setting {self._name} is reached, {self._most}: delete one, or raise it")
        self._making += 1
        try:
            yield
        finally:
            self._making -= 1
            self._made += 1


BOTS_BOUND = web.AppKey("bots bound", CapacityBound)
WEBHOOKS_BOUND = web.AppKey("webhooks bound", CapacityBound)
