"""What is kept of journal, as the core sees it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Protocol

from zapwire.model.bots import BotId
from zapwire.model.events import Event, EventType, LostEvent

PROOF: Final = 24 * 3600.0
"""Seconds for which a clock that jumped has to go on without a jump until it is trusted again."""


class PrunedKind(StrEnum):
    """Rows that go by their age."""

    MESSAGES = "messages"
    """Messages that came in."""
    OUTBOX = "outbox"
    """Outgoing messages that have ended."""
    POLL_VOTES = "poll_votes"
    RECEIPTS = "receipts"
    """Of single recipients."""
    DEAD_LETTERS = "dead_letters"
    """Bodies of events that were given up."""
    DEAD = "dead"
    """Deliveries that were given up."""
    DELIVERED = "delivered"


class JournalRepository(Protocol):
    """The journal: every event once, numbered in the order of its commit. Everything told outside is read from here."""

    def append(self, kind: EventType, bot: BotId, data: dict[str, Any]) -> Event:
        """Write an event; it is published when the transaction is committed."""

    def read(
        self,
        after: int,
        limit: int,
        *,
        upto: int | None = None,
        bots: Collection[str] | None = None,
        types: Collection[str] | None = None,
    ) -> tuple[list[Event | LostEvent], int]:
        """Up to *limit* events after *after* that match, in order, and the cursor from which to read on.

        One whose row is damaged is `Lost`; its type and bot are not sealed, so filters hold for it too.

        The cursor also moves past what does not match, but never past what was not yet committed, nor past *upto*: the
        newest event that was published, so that nobody learns from the table what memory does not know yet. At most
        `SCANNED` numbers are looked at, however few match: there may be more although fewer than *limit* came.
        """

    def by_seq(self, seq: int) -> Event | None:
        """One event, or None when the journal no longer has it, or cannot read it."""

    def has(self, seq: int) -> bool:
        """Does the journal still have this event?"""

    def floor(self) -> int:
        """Every event up to here was pruned; what comes after it is here, but for the events of deleted bots."""

    def seq_of(self, event: str) -> int | None:
        """The number of the event with this id, or None when the journal no longer has it."""

    def prune_point(self, oldest: datetime, now: datetime) -> int:
        """Up to which number the events are older than *oldest*, 0 when there are none.

        They go in the order in which they happened, so an event that got too early a time, from a clock that was set
        wrong, waits for those before it. One with a time that is still to come does not hold up those behind it.
        """


class RetentionRepository(Protocol):
    """What is over and old is deleted, a little at a time, so that no other write waits long."""

    def prune_rows(self, limit: int, kind: PrunedKind, oldest: datetime) -> int:
        """Delete up to *limit* rows of *kind* from before *oldest*; returns how many."""

    def prune_events(self, limit: int, upto: int) -> int:
        """Delete up to *limit* of the events up to *upto*, the oldest first; returns how many."""

    def miss(self, endpoint: str, lost: Sequence[LostEvent]) -> None:
        """Record that an endpoint cannot get these events, whose rows are damaged, and tell it."""

    def miss_waiting(self, endpoint: str, seq: int) -> None:
        """Forget a delivery that waits for an endpoint and whose event is gone, or tell it when that cannot be read."""

    def tell_gaps(self) -> None:
        """Write `webhook.gap` for each enabled endpoint that missed something; the others are told when they are."""


class ClockRepository(Protocol):
    """Can the clock be trusted enough to delete by it? One that jumped days ahead would have everything
    pruned at once.
    """

    def note(self, now: datetime, passed: float | None) -> datetime | None:
        """Note the time, when *passed* seconds have passed since the last call (None: that was in another process).

        Returns None when it can be trusted, else the last time that could.
        """
