"""Steps that have to be stored although the database fails for a while."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from zapwire.errors import StoreError, Unstorable
from zapwire.model import BotId
from zapwire.store.turns import Turn

log = logging.getLogger(__name__)


async def insist(step: Callable[[], Awaitable[None]], bot: BotId, pause: float, patience: float = math.inf) -> None:
    """Do *step* every *pause* seconds until the database takes it, or raise `StoreError` after *patience* seconds.

    `Unstorable` is raised at once: no patience helps.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        try:
            return await step()
        except Unstorable:
            raise
        except StoreError as error:
            if loop.time() >= until:
                raise
            log.error("bot %s: what happened cannot be stored yet: %s", bot, error)  # noqa: TRY400 - no bug of ours
            await asyncio.sleep(pause)


async def insist_in_turn(step: Callable[[], Awaitable[None]], turn: Turn, bot: BotId, pause: float) -> None:
    """Do *step* until the database takes it: the first in the row every *pause* seconds, the others after it.

    `Unstorable` is raised at once: no patience helps, and those behind it must not wait.
    """
    while True:
        try:
            return await step()
        except Unstorable:
            raise
        except StoreError as error:
            if not turn.is_next:
                await turn.come()
                continue
            log.error("bot %s: what came in cannot be stored yet: %s", bot, error)  # noqa: TRY400 - no bug of ours
            await asyncio.sleep(pause)
