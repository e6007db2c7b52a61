"""What is kept of webhooks, as the core sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from zapwire.model.deliveries import Delivery, DeliveryFilter, DeliveryRecord, StoredQueue, WaitingDelivery
from zapwire.model.events import Event
from zapwire.model.webhooks import Endpoint, EndpointHealth, EndpointKeys


class EndpointRepository(Protocol):
    """Webhook endpoints: where events are sent to, with what keys, and how far each has come in the journal."""

    def insert(self, endpoint: Endpoint, keys: EndpointKeys) -> Endpoint:
        """Store a new endpoint; it gets what happens from now on."""

    def update(self, endpoint: Endpoint) -> None:
        """Store what a person can change of an endpoint."""

    def delete(self, endpoint: str) -> bool:
        """Delete an endpoint and all that waits for it: hidden at once, then purged bit by bit. False:
        there is none.
        """

    def all_endpoints(self) -> list[Endpoint]:
        """All endpoints, oldest first."""

    def get(self, endpoint: str) -> Endpoint | None:
        """One endpoint."""

    def exists(self, endpoint: str) -> bool:
        """Is there this endpoint?"""

    def keys(self, endpoint: str) -> EndpointKeys | None:
        """What its deliveries are signed with; None when there is no such endpoint."""

    def set_keys(self, endpoint: str, new: EndpointKeys) -> None:
        """Replace what deliveries are signed with."""

    def save_cursor(self, endpoint: str, cursor: int) -> None:
        """Move an endpoint's cursor forward."""

    def set_health(self, endpoint: str, health: EndpointHealth | None = None) -> None:
        """Note how an endpoint does whose deliveries fail, or with None that they work again."""

    def disable(self, endpoint: str, reason: str) -> bool:
        """Stop delivering to an endpoint; False when that was so already."""


class DeliveryQueueRepository(Protocol):
    """Deliveries: one row for each event an endpoint was sent or still has to get, with its attempts."""

    def store(self, endpoint: str, records: Sequence[DeliveryRecord]) -> None:
        """Store how deliveries stand after an attempt, or with one without an attempt that it waits from now on."""

    def bury(self, endpoint: str, record: DeliveryRecord, body: str) -> None:
        """Give a delivery up, keeping the event's *body*, as the journal may forget it."""

    def letter(self, endpoint: str, seq: int) -> str | None:
        """The body of a dead letter; None when there is none, or it cannot be read."""

    def lanes(self, endpoint: str) -> list[StoredQueue]:
        """The lanes in which something waits; of one that was called otherwise before there may be several."""

    def present_lane(self, key: str) -> str:
        """What the lane is called now that was stored as *key*: without an id, or with that of a person
        merged since.
        """

    def waiting(self, endpoint: str, lanes: Sequence[str], *, replay: bool, limit: int) -> list[WaitingDelivery]:
        """What has to go out next in a lane that is stored as any of *lanes*, in order."""

    def recorded_after(self, endpoint: str, cursor: int) -> set[int]:
        """The numbers of those events after *cursor* that are taken care of already."""

    def make_due(self, endpoint: str, since: datetime | None = None) -> bool:
        """Let what waits after a failed attempt be retried at once; with *since* only if that was not before then.

        A little at a time, so that no other write waits long: True when there may be more.
        """


class DeliveryLogRepository(Protocol):
    """Deliveries as people look at them, and asking for them again."""

    def find(self, endpoint: str, event: str) -> int | None:
        """The number of the delivery of this event; None when there is none."""

    def get(self, endpoint: str, seq: int, wanted: DeliveryFilter | None = None) -> Delivery | None:
        """One delivery, if it is *wanted*."""

    def page(self, endpoint: str, wanted: DeliveryFilter, before: int | None, limit: int) -> list[Delivery]:
        """Up to *limit* deliveries, the newest events first, older than the event *before*."""

    def replayable(
        self, endpoint: str, wanted: DeliveryFilter, after: int, limit: int
    ) -> tuple[list[tuple[int, str]], int | None]:
        """Number and lane of up to *limit* deliveries that are over and whose event is still there, oldest first.

        Also: the number after which to look on, None when that was all. At most `journal.SCANNED` numbers are looked
        at.
        """

    def replay(self, endpoint: str, seqs: Sequence[int]) -> int:
        """Queue deliveries again that are over; returns how many that were."""

    def insert_replay(self, endpoint: str, event: Event, lane: str) -> None:
        """Queue an event that the endpoint was never sent, or so long ago that nobody knows."""

    def hurry(self, endpoint: str, seq: int) -> None:
        """Let a delivery that waits be due now."""
