"""What a delivery worker carries: one event for one endpoint, on its way for the first time or again."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any

from zapwire.core.events.serializers import read_event
from zapwire.core.webhooks.outcome import Outcome
from zapwire.model.deliveries import (
    Attempt,
    DeadDelivery,
    DeliveredDelivery,
    FailedDelivery,
    PendingDelivery,
    WaitingDelivery,
)
from zapwire.model.events import Event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """One event for one endpoint."""

    seq: int
    id: str
    type: str
    bot: str
    lane: str
    happened: datetime
    since: datetime
    event: Event
    tries: int = 0
    replay: bool = False
    new: bool = False
    """Was it just read, and not tried before?"""

    @classmethod
    def fresh(cls, event: Event, now: datetime) -> Job:
        """An event that was just read from the journal."""
        return cls(
            *(event.seq, event.id, event.type.value, event.bot, lane_of(event), event.timestamp, now, event), new=True
        )

    @classmethod
    def again(cls, waiting: WaitingDelivery, event: Event, lane: str, replay: bool) -> Job:
        """A stored delivery of *event* whose turn it is."""
        return cls(
            *(waiting.seq, waiting.event_id, waiting.type, waiting.bot, lane, waiting.happened, waiting.since),
            *(event, waiting.tries, replay),
        )

    def pending(self) -> PendingDelivery:
        """It is stored before anything was tried."""
        return PendingDelivery(**self._stored(), tries=self.tries)

    def delivered(self, outcome: Outcome, reply: dict[str, str] | None) -> DeliveredDelivery:
        """Its endpoint accepted it, perhaps with a *reply*."""
        return DeliveredDelivery(**self._stored(), tries=self.tries, **_last_attempt(outcome), reply=reply)

    def failed(self, outcome: Outcome, due: datetime) -> FailedDelivery:
        """An attempt failed; the next one is *due*."""
        return FailedDelivery(**self._stored(), tries=self.tries + 1, **_last_attempt(outcome), due=due)

    def dead(self, outcome: Outcome) -> DeadDelivery:
        """The last attempt failed."""
        return DeadDelivery(**self._stored(), tries=self.tries + 1, **_last_attempt(outcome))

    def _stored(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "event": self.id,
            "type": self.type,
            "bot": self.bot,
            "lane": self.lane,
            "happened": self.happened,
            "since": self.since,
            "replay": self.replay,
        }


def _last_attempt(outcome: Outcome) -> dict[str, Any]:
    attempt = Attempt(outcome.at, outcome.status, outcome.duration_ms, outcome.error)
    return {"attempt": attempt, "answer": outcome.text}


def event_of(waiting: WaitingDelivery) -> Event | None:
    """The event of a stored delivery: of the journal, or else of its dead letter.

    None when it is gone for good: its bot was deleted, or its row is damaged.
    """
    if waiting.event is not None or waiting.letter is None:
        return waiting.event
    try:
        return read_event(waiting.letter)
    except (ValueError, KeyError, TypeError):
        log.warning("a dead letter cannot be read")
        return None


class QueueState(Enum):
    """What is done with a lane."""

    IDLE = auto()
    """Nothing: there is nothing in it yet."""
    POSTING = auto()
    """A task delivers what was just read, from memory."""
    WAITING = auto()
    """Deliveries of it are stored and wait for their time, in the delay queue."""
    RETRYING = auto()
    """A task stores deliveries, or delivers what is stored."""


@dataclass(slots=True, eq=False)
class OrderedQueue:
    """What has to stay in order: one chat of one bot, the events about one bot itself, or replays of such."""

    name: str
    """Of the chat, as it is known now."""
    replay: bool = False
    state: QueueState = QueueState.IDLE
    """There is never more than one task at it."""
    behind: int = 0
    """Events that are about to be stored behind them."""
    stored: int = 0
    """Grows whenever some were."""
    fresh: deque[Job] = field(default_factory=deque)
    due: float = 0.0
    """When the first of the stored ones is due, by the event loop's clock."""
    keys: set[str] = field(default_factory=set)
    """What it was and is called in what is stored of it."""

    def __post_init__(self) -> None:
        self.keys.add(self.name)

    @property
    def is_stored(self) -> bool:
        """Are deliveries of it stored? Then what comes is stored behind them."""
        return self.state in {QueueState.WAITING, QueueState.RETRYING}


def lane_of(event: Event) -> str:
    """What has to stay in order with *event*."""
    bot = event.bot or "-"  # no bot is called so
    party = event.data.get("chat") or event.data.get("to")
    if not isinstance(party, dict):
        return bot
    return f"{bot}/{party.get('id') or party.get('phone') or party.get('jid')}"


def is_old(event: Event) -> bool:
    """Is it about a chat, and from a time when chats had no ids?"""
    party = event.data.get("chat") or event.data.get("to")
    return isinstance(party, dict) and party.get("id") is None
