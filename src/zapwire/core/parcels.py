"""What a courier carries: one event for one endpoint, on its way for the first time or again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from zapwire.core import posting
from zapwire.core.posting import Outcome
from zapwire.events import Event
from zapwire.store.deliveries import Attempt, DeliveryState, Record, Waiting


@dataclass(frozen=True, slots=True)
class Parcel:
    """One event for one endpoint."""

    seq: int
    id: str
    type: str
    bot: str
    lane: str
    happened: datetime
    since: datetime
    event: Event | None
    letter: str | None = None
    """The body, of an event that the journal has forgotten."""
    tries: int = 0
    replay: bool = False
    new: bool = False
    """Was it just read, and not tried before?"""

    @classmethod
    def fresh(cls, event: Event, now: datetime) -> Parcel:
        """An event that was just read from the journal."""
        return cls(
            *(event.seq, event.id, event.type.value, event.bot, lane_of(event), event.timestamp, now, event), new=True
        )

    @classmethod
    def again(cls, waiting: Waiting, lane: str, replay: bool) -> Parcel:
        """A stored delivery whose turn it is."""
        return cls(
            *(waiting.seq, waiting.event_id, waiting.type, waiting.bot, lane, waiting.happened, waiting.since),
            *(waiting.event, waiting.letter, waiting.tries, replay),
        )

    @property
    def body(self) -> str | None:
        """What is posted; None when the event is gone for good (its bot was deleted)."""
        return self.letter if self.event is None else posting.body(self.event)

    def record(
        self,
        state: DeliveryState,
        outcome: Outcome | None = None,
        *,
        due: datetime | None = None,
        reply: dict[str, str] | None = None,
    ) -> Record:
        """How it stands after *outcome*."""
        tried = None if outcome is None else Attempt(outcome.at, outcome.status, outcome.duration_ms, outcome.error)
        return Record(
            *(self.seq, self.id, self.type, self.bot, self.lane, self.happened, state, self.since, self.replay),
            tries=self.tries + (outcome is not None and outcome.error is not None),
            due=due,
            attempt=tried,
            answer=None if outcome is None else posting.text_of(outcome.answer),
            reply=reply,
        )


class LaneState(Enum):
    """What is done with a lane."""

    IDLE = auto()
    """Nothing: there is nothing in it yet."""
    POSTING = auto()
    """A task delivers what was just read, from memory."""
    WAITING = auto()
    """Deliveries of it are stored and wait for their time, in the agenda."""
    RETRYING = auto()
    """A task stores deliveries, or delivers what is stored."""


@dataclass(slots=True, eq=False)
class Lane:
    """What has to stay in order: one chat of one bot, the events about one bot itself, or replays of such."""

    name: str
    """Of the chat, as it is known now."""
    replay: bool = False
    state: LaneState = LaneState.IDLE
    """There is never more than one task at it."""
    behind: int = 0
    """Events that are about to be stored behind them."""
    stored: int = 0
    """Grows whenever some were."""
    fresh: deque[Parcel] = field(default_factory=deque)
    due: float = 0.0
    """When the first of the stored ones is due, by the event loop's clock."""
    keys: set[str] = field(default_factory=set)
    """What it was and is called in what is stored of it."""

    def __post_init__(self) -> None:
        self.keys.add(self.name)

    @property
    def is_stored(self) -> bool:
        """Are deliveries of it stored? Then what comes is stored behind them."""
        return self.state in {LaneState.WAITING, LaneState.RETRYING}


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
