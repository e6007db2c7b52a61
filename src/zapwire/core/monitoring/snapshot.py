"""All figures of the daemon at one moment, for `GET /v1/stats` and for `/metrics`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from zapwire.core.bots.registry import BotRegistry
from zapwire.core.monitoring.counters import Counters, Messages
from zapwire.core.webhooks.dispatcher import Dispatcher
from zapwire.model import timestamps
from zapwire.model.backlog import WaitingCounts
from zapwire.model.bots import BotState, BotView
from zapwire.runtime.instruments import EngineFigures, Timing, VersionFigures
from zapwire.runtime.process import LoopLag, Process, process
from zapwire.store.ports import Store
from zapwire.transport.protocol import Measured
from zapwire.transport.registry import TransportRegistry

NOTHING: Final = Messages()
"""What a bot did of which nothing was emitted since the daemon's start."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Counters count since the daemon's start."""

    at: datetime
    uptime: float
    process: Process
    engine: EngineFigures
    bots: list[BotView]
    queues: Mapping[str, WaitingCounts]
    """By bot; those without messages that wait are missing."""
    queued_deliveries: int
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

    def age(self, waiting: WaitingCounts | None) -> float:
        """Seconds since the message was submitted that waits longest; 0 when none does."""
        return 0.0 if waiting is None else max(0.0, (self.at - waiting.oldest).total_seconds())

    @property
    def oldest(self) -> WaitingCounts | None:
        """The queue with the message that waits longest."""
        return min(self.queues.values(), key=lambda waiting: waiting.oldest, default=None)


class StatsCollector:
    """Gathers the figures."""

    def __init__(
        self,
        *,
        database: Store,
        registry: BotRegistry,
        dispatcher: Dispatcher,
        transports: TransportRegistry,
        counters: Counters,
        lag: LoopLag,
    ) -> None:
        self._database = database
        self._registry = registry
        self._dispatcher = dispatcher
        self._transports = transports
        self._started = time.monotonic()
        self.counters = counters
        self.lag = lag.lag
        self.commits = database.commits

    @property
    def writes(self) -> int:
        """How many writes the database has committed."""
        return self._database.writes

    @property
    def version(self) -> VersionFigures:
        """Which version the bots say they are."""
        return figures_of(self._transports).version

    async def take(self) -> Snapshot:
        """The figures as they are now. Raises `StoreError`."""
        backlog = await self._database.read(lambda unit: unit.backlog.backlog())
        bots = await self._registry.list()
        self.counters.keep({bot.id for bot in bots})
        return Snapshot(
            at=timestamps.now(),
            uptime=time.monotonic() - self._started,
            process=process(),
            engine=figures_of(self._transports),
            bots=bots,
            queues=backlog.outbox,
            queued_deliveries=backlog.queued,
            dead_letters=backlog.dead_letters,
            webhooks=backlog.webhooks,
            given_up=self._dispatcher.given_up.count,
            deliveries=self._dispatcher.deliveries,
            pending=self._dispatcher.pending,
            last_seq=self._database.tail.last_seq,
        )

    def messages(self, bot: str) -> Messages:
        """What went in and out of one bot."""
        return self.counters.bots.get(bot, NOTHING)


def figures_of(transports: TransportRegistry) -> EngineFigures:
    """Those of WhatsApp Web, the only transport that has figures."""
    return next((one.figures() for one in transports.factories if isinstance(one, Measured)), EngineFigures())
