"""Places for transfers: so many in all, and of one bot no more than a part of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zapwire.model.bots import BotId


class FairPlaces:
    """*in_all* places, of which one bot takes up to *of_one*."""

    def __init__(self, in_all: int, of_one: int) -> None:
        self._in_all = asyncio.Semaphore(in_all)
        self._of_one = of_one
        self._bots: dict[BotId, tuple[asyncio.Semaphore, int]] = {}
        """Of each bot its places, and how many want one."""

    @asynccontextmanager
    async def place(self, bot: BotId) -> AsyncIterator[None]:
        """Wait for a place of *bot*'s, then for one of all, and have it while entered."""
        own, wanted = self._bots.get(bot, (asyncio.Semaphore(self._of_one), 0))
        self._bots[bot] = own, wanted + 1
        try:
            async with own, self._in_all:
                yield
        finally:
            own, wanted = self._bots[bot]
            if wanted > 1:
                self._bots[bot] = own, wanted - 1
            else:
                del self._bots[bot]
