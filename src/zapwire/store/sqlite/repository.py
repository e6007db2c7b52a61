"""What all repositories have: the connection, what seals and opens its values, and the unit that they are part of."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from zapwire.model.bots import BotId
from zapwire.model.events import Event, LostEvent
from zapwire.model.webhooks import Endpoint
from zapwire.store.ports import DeliveryQueueRepository, EndpointRepository, JournalRepository, UnitOfWork
from zapwire.store.sqlite.sealed_values import SealedConnection


class InnerJournal(JournalRepository, Protocol):
    """The journal as other repositories see it."""

    def last_seq(self) -> int:
        """The highest number ever given, 0 when there was none."""

    def lost(self, seq: int) -> LostEvent | None:
        """What is known of one event that the journal has and cannot read; None otherwise."""

    def oldest_until(self, upto: int, most: int) -> list[tuple[int, str, BotId, bool]]:
        """Number, type and bot of the oldest events up to *upto*, *most* of them; and whether its bot is there."""

    def prune(self, upto: int) -> None:
        """Delete the events up to *upto*."""


class InnerEndpoints(EndpointRepository, Protocol):
    """The endpoints as other repositories see them."""

    def behind(self, seq: int) -> list[Endpoint]:
        """Those that may still have to get an event up to *seq*."""


class InnerDeliveryQueue(DeliveryQueueRepository, Protocol):
    """The queue of deliveries as other repositories see it."""

    def lose(self, endpoint: str, event: LostEvent) -> bool:
        """Record as given up what cannot be read and so cannot be delivered; False when that was known."""

    def drop(self, endpoint: str, seqs: Iterable[int]) -> None:
        """Forget deliveries whose events are gone."""

    def needing_events(self, endpoint: str, upto: int) -> set[int]:
        """What waits of the events up to *upto* and has its event only in the journal: not a dead letter's replay."""


class SqliteUnit(UnitOfWork, Protocol):
    """The unit of work as repositories see it."""

    deleted: bool
    """Something was marked as deleted, and has to be purged."""
    epochs: dict[BotId, int | None]
    emitted: list[Event]
    after_commit: list[Callable[[], None]]

    @property
    def journal(self) -> InnerJournal:
        """See `View.journal`."""

    @property
    def endpoints(self) -> InnerEndpoints:
        """See `View.endpoints`."""

    @property
    def delivery_queue(self) -> InnerDeliveryQueue:
        """See `View.delivery_queue`."""


class Repository:
    """The rows of one table, by functions that know its SQL."""

    __slots__ = ("_sql", "_unit", "_values")

    def __init__(self, unit: SqliteUnit, sql: SealedConnection) -> None:
        self._unit = unit
        self._sql = sql
        self._values = sql.values
