"""When many bots fail alike, one of them tries for all.

A server that is down is not helped by a thousand bots that knock at it, and each knock costs the engine descriptors.
Bots that failed with the same words on the same way (no proxy, or the same) make a group; once it is large enough its
first bot goes on with its own backoff, and the others wait for what it finds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from zapwire.core.tuning import Tuning
from zapwire.model.bots import BotId
from zapwire.model.errors import Condition, TransportError
from zapwire.model.proxy import Proxy

_SHARED = frozenset({Condition.UNREACHABLE, Condition.BUSY, Condition.SILENT})
"""What can be the matter with WhatsApp, or the way to it, rather than with one bot."""

_Key = tuple[Condition, str, Proxy | None]


class _Group:
    def __init__(self) -> None:
        self.bots: dict[BotId, float] = {}
        self.scout: BotId | None = None
        """The bot that tries for all."""
        self.over = asyncio.Event()


class CircuitBreaker:
    """The groups of one process."""

    def __init__(self, limits: Tuning, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._groups: dict[_Key, _Group] = {}

    def failed(self, bot: BotId, error: TransportError, way: Proxy | None = None) -> asyncio.Event | None:
        """Note a failed attempt through *way*.

        None: go on trying. An event: another bot tries, and sets it when it is over.
        """
        key = (error.condition, error.detail, way)
        self._leave(bot, but=key)
        if error.condition not in _SHARED:
            return None
        now = self._clock()
        group = self._groups.setdefault(key, _Group())
        group.bots[bot] = now
        if group.scout is None:
            old = now - self._limits.alike_within
            group.bots = {name: at for name, at in group.bots.items() if at >= old}
            if len(group.bots) < self._limits.alike:
                return None
            group.scout = bot
        return None if group.scout == bot else group.over

    def left(self, bot: BotId) -> None:
        """The bot no longer tries, or has succeeded: those who waited for it try again."""
        self._leave(bot, but=None)

    def _leave(self, bot: BotId, but: _Key | None) -> None:
        for key, group in list(self._groups.items()):
            if key == but or bot not in group.bots:
                continue
            del group.bots[bot]
            if group.scout == bot or not group.bots:
                del self._groups[key]
                group.over.set()
