"""Deliveries of events to webhook endpoints."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from zapwire.model.events import Event


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    """Waits for its first attempt, behind another one of its chat, or was asked for again."""
    FAILED = "failed"
    """The last attempt failed; another one follows."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; it can be replayed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request."""

    at: datetime
    status: int | None
    """None when there was no answer."""
    duration_ms: int
    error: str | None


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as it is stored: what it is of, and how it stands after its last attempt."""

    seq: int
    event: str
    type: str
    bot: str
    lane: str
    happened: datetime
    state: DeliveryState
    since: datetime
    replay: bool = False
    tries: int = 0
    due: datetime | None = None
    attempt: Attempt | None = None
    answer: str | None = None
    reply: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class PendingDelivery(DeliveryRecord):
    """Stored behind others of its lane; nothing was tried yet."""

    state: DeliveryState = field(default=DeliveryState.PENDING, init=False)


@dataclass(frozen=True, slots=True)
class DeliveredDelivery(DeliveryRecord):
    """Its endpoint answered 2xx."""

    state: DeliveryState = field(default=DeliveryState.DELIVERED, init=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedDelivery(DeliveryRecord):
    """Its last attempt failed; it is retried."""

    state: DeliveryState = field(default=DeliveryState.FAILED, init=False)
    due: datetime
    """Of the next attempt."""


@dataclass(frozen=True, slots=True)
class DeadDelivery(DeliveryRecord):
    """Given up: a dead letter."""

    state: DeliveryState = field(default=DeliveryState.DEAD, init=False)


@dataclass(frozen=True, slots=True)
class WaitingDelivery:
    """A delivery that waits, with its event, or the body of it when the journal has forgotten it."""

    seq: int
    event_id: str
    type: str
    bot: str
    happened: datetime
    tries: int
    since: datetime
    due: datetime
    event: Event | None
    letter: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as the API shows it."""

    event: str
    seq: int
    type: str
    bot: str
    chat: str | None
    state: DeliveryState
    happened: datetime
    due: datetime | None
    attempts: tuple[Attempt, ...]
    answer: str | None
    reply: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class StoredQueue:
    """A lane in which something waits."""

    key: str
    """What it is stored as."""
    name: str
    """What it is called now."""
    replay: bool
    due: datetime
    """When its first delivery is."""


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; None stands for all."""

    state: DeliveryState | None = None
    chat: str | None = None
    """An id or an address."""
    since: datetime | None = None
    """Events from then on."""
    until: datetime | None = None
    """Events before then."""
