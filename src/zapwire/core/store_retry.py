"""Steps that have to be stored although the database fails for a while."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from zapwire.model.bots import BotId
from zapwire.model.errors import StoreError, Unstorable

log = logging.getLogger(__name__)
T = TypeVar("T")


async def retry_until_stored(
    step: Callable[[], Awaitable[T]],
    bot: BotId,
    pause: float,
    patience: float = math.inf,
    *,
    closing: Callable[[], bool] = lambda: False,
) -> T:
    """Retry *step* every *pause* seconds until the database accepts it; returns what it returns.

    Raises `StoreError` after *patience* seconds, or once the caller is *closing*; `Unstorable` is raised at once: no
    patience helps.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while True:
        try:
            return await step()
        except Unstorable:
            raise
        except StoreError as error:
            if closing() or loop.time() >= until:
                raise
            log.error("bot %s: a state change cannot be stored yet, retrying: %s", bot, error)  # noqa: TRY400 - no bug of ours
            await asyncio.sleep(pause)
