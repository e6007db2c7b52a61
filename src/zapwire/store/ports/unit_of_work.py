"""The seam between the core and a store: one state to read, one unit of work to write.

A unit of work is all or nothing. Its closures are synchronous: they run on a thread of the store, one after the other,
so that many of them share a commit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from zapwire.model.events import Event
from zapwire.runtime.instruments import Timing
from zapwire.store.journal_tail import JournalTail
from zapwire.store.ports.backlog import BacklogRepository
from zapwire.store.ports.bots import BotHistoryRepository, BotRepository
from zapwire.store.ports.journal import ClockRepository, JournalRepository, RetentionRepository
from zapwire.store.ports.media import MediaRepository
from zapwire.store.ports.messages import (
    ChatTimerRepository,
    HistoryNoticeRepository,
    MessageRepository,
    OutboxRepository,
    PacingRepository,
    PersonRepository,
    PollVoteRepository,
    ReceiptRepository,
)
from zapwire.store.ports.tokens import TokenRepository
from zapwire.store.ports.webhooks import DeliveryLogRepository, DeliveryQueueRepository, EndpointRepository

T = TypeVar("T")


class View(Protocol):
    """One state of what is stored, by table. What would change something raises when it is called on a mere view."""

    @property
    def bots(self) -> BotRepository:
        """Bots."""

    @property
    def bot_history(self) -> BotHistoryRepository:
        """What each bot was doing."""

    @property
    def messages(self) -> MessageRepository:
        """Messages that came in."""

    @property
    def outbox(self) -> OutboxRepository:
        """Messages that go out."""

    @property
    def persons(self) -> PersonRepository:
        """Who has which address."""

    @property
    def media(self) -> MediaRepository:
        """Files that messages carry."""

    @property
    def poll_votes(self) -> PollVoteRepository:
        """How polls stand."""

    @property
    def chat_timers(self) -> ChatTimerRepository:
        """After how long messages disappear."""

    @property
    def pacing(self) -> PacingRepository:
        """How fast each bot may write."""

    @property
    def receipts(self) -> ReceiptRepository:
        """Receipts of single recipients."""

    @property
    def history_notices(self) -> HistoryNoticeRepository:
        """Where WhatsApp keeps the accounts' histories."""

    @property
    def journal(self) -> JournalRepository:
        """Every event once."""

    @property
    def retention(self) -> RetentionRepository:
        """Deleting what is old."""

    @property
    def clock(self) -> ClockRepository:
        """Can the clock be trusted?"""

    @property
    def endpoints(self) -> EndpointRepository:
        """Webhook endpoints."""

    @property
    def delivery_queue(self) -> DeliveryQueueRepository:
        """Deliveries that are still to be made."""

    @property
    def delivery_log(self) -> DeliveryLogRepository:
        """Deliveries as their owner sees them."""

    @property
    def tokens(self) -> TokenRepository:
        """API tokens."""

    @property
    def backlog(self) -> BacklogRepository:
        """How much waits."""


class UnitOfWork(View, Protocol):
    """A view that can be changed; all changes are committed together or not at all."""

    @property
    def emitted(self) -> list[Event]:
        """Journal entries to publish once this is committed."""

    @property
    def after_commit(self) -> list[Callable[[], None]]:
        """What to do on the event loop once this is committed and before its events are published: whoever hears of an
        event and asks finds memory up to date. What one of them raises is logged, and the others are done."""

    def beat(self) -> None:
        """Write something that changes nothing: an empty transaction commits on a full disk, too."""


class DamageReport(Protocol):
    """Values that did not open since the daemon started."""

    @property
    def words(self) -> str | None:
        """All of it in one sentence; None when everything opens."""

    def news(self) -> list[str]:
        """What was reported since this was last asked, in words."""


class Transactions(Protocol):
    """What reads and writes."""

    async def write(self, work: Callable[[UnitOfWork], T], /) -> T:
        """Run *work* in a unit of work; returns its result once that is committed.

        What *work* raises undoes only its own changes and is raised here. Errors of the store become `StoreError`,
        those about the values to be written `Unstorable`. A cancelled caller does not undo its write.
        """

    async def read(self, work: Callable[[View], T], /) -> T:
        """Run *work* on one state of the store, with all that is committed. Raises `StoreError`."""


class Store(Transactions, Protocol):
    """An open store."""

    tail: JournalTail
    """The newest events in this process's memory."""
    commits: Timing
    """Each with all writes that it held."""
    writes: int
    alerts: dict[str, str]
    """What is the matter with what is stored, by kind."""

    @property
    def damages(self) -> DamageReport:
        """Values that did not open."""

    async def look_up(self, work: Callable[[View], T], /) -> T:
        """Like `read`, for what finds a row or two by an index: it never waits for anything long."""

    def alert(self, kind: str, words: str | None) -> None:
        """Note what is the matter (None: nothing any more), to be emitted as `daemon.alert`."""

    async def purged(self, bot: str) -> None:
        """Wait until nothing is left of a deleted bot, and its id is free. Raises `StoreError`."""
