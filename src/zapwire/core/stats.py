"""All figures of the daemon at one moment, for `GET /v1/stats` and for `/metrics`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from zapwire.core.deliverer import Deliverer
from zapwire.core.fleet import Fleet
from zapwire.core.process import LoopLag, Process, process
from zapwire.core.tally import Messages, Tally
from zapwire.measures import EngineFigures, Timing
from zapwire.model import BotState, BotView
from zapwire.store import figures, times
from zapwire.store.db import Database
from zapwire.store.figures import Waiting
from zapwire.transport.base import Measured, TransportFactory

NOTHING: Final = Messages()
"""What a bot did of which nothing was told since the daemon's start."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Counters count since the daemon's start."""

    at: datetime
    uptime: float
    process: Process
    engine: EngineFigures
    bots: list[BotView]
    queues: Mapping[str, Waiting]
    """By bot; those without messages that wait are missing."""
    parked: int
    dead_letters: int
    """Deliveries that were given up and are kept."""
    webhooks: Mapping[str, int]
    """How many do how: `working`, `failing`, `unreachable`, `paused`, `disabled`."""
    given_up: int
    deliveries: Mapping[str, Timing]
    """By outcome: delivered, failed."""
    pending: int
    """Deliveries under way or not begun."""
    last_seq: int

    @property
    def states(self) -> dict[str, int]:
        """How many bots are in which state; every state is there."""
        found = Counter(bot.state.value for bot in self.bots)
        return {state.value: found[state.value] for state in BotState}

    @property
    def restricted(self) -> int:
        """How many bots WhatsApp limits now."""
        return sum(bot.restriction is not None for bot in self.bots)

    @property
    def unhealthy(self) -> int:
        """How many are connected and get no answer."""
        return sum(
            bot.state is BotState.CONNECTED and bot.health is not None and not bot.health.healthy for bot in self.bots
        )

    @property
    def queued(self) -> int:
        """Messages that wait for all bots."""
        return sum(waiting.count for waiting in self.queues.values())

    def age(self, waiting: Waiting | None) -> float:
        """Seconds since the message was submitted that waits longest; 0 when none does."""
        return 0.0 if waiting is None else max(0.0, (self.at - waiting.oldest).total_seconds())

    @property
    def oldest(self) -> Waiting | None:
        """The queue with the message that waits longest."""
        return min(self.queues.values(), key=lambda waiting: waiting.oldest, default=None)


class Stats:
    """Gathers the figures."""

    def __init__(
        self,
        *,
        database: Database,
        fleet: Fleet,
        deliverer: Deliverer,
        transports: TransportFactory,
        tally: Tally,
        lag: LoopLag,
    ) -> None:
        self._database = database
        self._fleet = fleet
        self._deliverer = deliverer
        self._transports = transports
        self._started = time.monotonic()
        self.tally = tally
        self.lag = lag.lag
        self.commits = database.commits

    @property
    def writes(self) -> int:
        """How many writes the database has committed."""
        return self._database.writes

    async def take(self) -> Figures:
        """The figures as they are now. Raises `StoreError`."""
        backlog = await self._database.read(figures.backlog)
        bots = await self._fleet.list()
        self.tally.keep({bot.id for bot in bots})
        engine = self._transports.figures() if isinstance(self._transports, Measured) else EngineFigures()
        return Figures(
            at=times.now(),
            uptime=time.monotonic() - self._started,
            process=process(),
            engine=engine,
            bots=bots,
            queues=backlog.outbox,
            parked=backlog.parked,
            dead_letters=backlog.dead_letters,
            webhooks=backlog.webhooks,
            given_up=self._deliverer.given_up.count,
            deliveries=self._deliverer.deliveries,
            pending=self._deliverer.pending,
            last_seq=self._database.tail.last_seq,
        )

    def messages(self, bot: str) -> Messages:
        """What went in and out of one bot."""
        return self.tally.bots.get(bot, NOTHING)
