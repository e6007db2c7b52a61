"""Does WhatsApp still answer: asks on each connection over which nothing comes in.

A connection can stand and be deaf: the socket is open, keep-alives may even be answered, and no message arrives. So
what counts is something that came in, or the answer to a probe that takes the way of messages. Silence alone is never
called healthy.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId, Health
from zapwire.model.errors import Condition, NotConnected, TransportError
from zapwire.transport.protocol import Probes, Transport

log = logging.getLogger(__name__)

_LATE = 3
"""Intervals without a sign of life after which a connection no longer counts as healthy, whatever probes do."""

Tell = Callable[[int], Awaitable[None]]
"""Called with the number of failures in a row: after each answer (0) and each failure."""


class Silent(TransportError):
    """WhatsApp answers nothing on a connection that stands."""

    def __init__(self) -> None:
        super().__init__("WhatsApp stopped answering on this connection", condition=Condition.SILENT)


class HealthCheck:
    """Watches one bot's connections, one after the other; `run` beside each."""

    def __init__(self, bot: BotId, transport: Transport, limits: Tuning, chance: random.Random, tell: Tell) -> None:
        self._bot = bot
        self._transport = transport
        self._limits = limits
        self._chance = chance
        self._tell = tell
        self._connected = asyncio.Event()
        self._hurried = False
        self._failures = 0
        self._last_answer: datetime | None = None
        self._answered_at: float | None = None
        self._round_trip: float | None = None

    @property
    def health(self) -> Health | None:
        """What is known; None when this transport cannot be asked."""
        if not isinstance(self._transport, Probes):
            return None
        quiet = self._quiet()
        late = self._limits.probe_interval * _LATE
        alive = quiet is not None and quiet < late and self._failures < self._limits.unhealthy_after
        seen = None if quiet is None else timestamps.now() - timedelta(seconds=quiet)
        return Health(self._connected.is_set() and alive, seen, self._failures, self._last_answer, self._round_trip)

    def online(self, *, at_once: bool = False) -> None:
        """The connection stands; with *at_once* it is asked right away."""
        self._hurried = at_once
        self._failures = 0
        self._connected.set()

    def offline(self) -> None:
        """The connection is lost, or being made again."""
        self._connected.clear()
        self._failures = 0

    async def run(self) -> None:
        """Ask from time to time, until cancelled. Raises `Silent` once too many probes went unanswered."""
        transport = self._transport
        if not isinstance(transport, Probes):
            await asyncio.Event().wait()
            return
        first = True
        while True:
            await self._connected.wait()
            await asyncio.sleep(self._pause(first=first))
            first = not self._connected.is_set()
            if not first and not self._heard_lately(transport):
                await self._ask(transport)

    def _pause(self, *, first: bool) -> float:
        """Seconds until the next look. The first one falls anywhere, so that a thousand bots do not ask together."""
        interval, jitter = self._limits.probe_interval, self._limits.jitter
        if self._hurried:
            self._hurried = False
            return min(interval, 0.5)
        if self._failures:
            return min(interval, self._limits.probe_again)
        if first:
            return interval * self._chance.random()
        # from the last sign of life on, so that silence is found after one interval and not after two
        return max(interval * self._chance.uniform(1 - jitter, 1 + jitter) - (self._quiet() or 0.0), interval / 20)

    def _heard_lately(self, transport: Probes) -> bool:
        quiet, lately = transport.quiet, self._limits.probe_interval * (1 - self._limits.jitter)
        return self._failures == 0 and quiet is not None and quiet < lately

    def _quiet(self) -> float | None:
        """Seconds since the last sign of life; by a clock that nobody sets."""
        quiet = self._transport.quiet if isinstance(self._transport, Probes) else None
        answered = None if self._answered_at is None else time.monotonic() - self._answered_at
        return min((one for one in (quiet, answered) if one is not None), default=None)

    async def _ask(self, transport: Probes) -> None:
        began = time.monotonic()
        try:
            await transport.probe()
        except NotConnected:
            return
        except TransportError as error:
            if not self._connected.is_set():
                return  # lost meanwhile, which is reported in its own way
            self._failures += 1
            log.info("bot %s: probe %d was not answered: %s", self._bot, self._failures, error.detail)
            await self._tell(self._failures)
            if self._failures >= self._limits.silent_after:
                raise Silent from None
            return
        self._answered_at = time.monotonic()
        self._last_answer, self._round_trip = timestamps.now(), round(self._answered_at - began, 4)
        self._failures = 0
        await self._tell(0)
