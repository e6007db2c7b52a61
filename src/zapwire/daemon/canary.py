"""One bot goes first: its connection is restarted before those of all others are, so that a refusal meets it alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from zapwire.core.bots.registry import BotRegistry
from zapwire.model.bots import BotState
from zapwire.model.errors import ZapwireError
from zapwire.runtime.tasks import Tasks

log = logging.getLogger(__name__)

PATIENCE: Final = 300.0
"""Seconds that the bot gets to be connected again."""
DAY: Final = timedelta(days=1)
_OVER: Final = frozenset({BotState.CONNECTED, BotState.BLOCKED, BotState.LOGGED_OUT, BotState.PAIRING_TIMED_OUT})


class Canary:
    """Restarts one bot's connection once a day, or when everything is to be restarted, and says what came of it."""

    def __init__(self, bots: BotRegistry, bot: str, started: datetime, *, patience: float = PATIENCE) -> None:
        """*started*: when all connections were made."""
        self._bots = bots
        self._bot = bot
        self._patience = patience
        self._next = started + DAY
        self._tasks = Tasks()
        self._checking = False
        self.problem: str | None = None
        """Why nothing else may be restarted for now, in words; None when the last restart went well."""

    async def close(self) -> None:
        """End a check that is under way."""
        await self._tasks.cancel()

    def due(self, now: datetime) -> bool:
        """Has a day passed since its last restart?"""
        return now >= self._next

    def check(self, now: datetime, passed: Callable[[], None], failed: Callable[[], None]) -> None:
        """Restart the bot; then *passed* or *failed* is called. One that is under way goes on alone."""
        self._next = now + DAY
        if not self._checking:
            self._checking = True
            self._tasks.spawn(self._check(passed, failed), "canary")

    async def _check(self, passed: Callable[[], None], failed: Callable[[], None]) -> None:
        try:
            self.problem = await self._try()
        finally:
            self._checking = False
        if self.problem is None:
            log.info("the canary %s is connected again", self._bot)
            passed()
        else:
            failed()

    async def _try(self) -> str | None:
        words = f"the canary {self._bot} "
        try:
            bot = self._bots.get(self._bot)
            before = bot.view
            if before.state is not BotState.CONNECTED:
                why = f" ({before.reason})" if before.reason else ""
                return f"{words}was {before.state.value} before its restart{why}: the others are not restarted"
            await bot.restart()
            async with asyncio.timeout(self._patience):
                await bot.current.until(lambda status: status.state in _OVER)
        except TimeoutError:
            return f"{words}was not connected again within {self._patience:g} s: the others are not restarted"
        except ZapwireError as error:
            return f"{words}could not be restarted ({error.detail}): the others are not restarted"
        after = bot.view
        if after.state is BotState.CONNECTED:
            return None
        return f"{words}was refused after its restart ({after.reason}): the others keep their connections"
