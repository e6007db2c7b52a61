"""The repositories over one connection: a view for who reads, a unit of work for who writes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Final

from zapwire.model.bots import BotId
from zapwire.model.events import Event
from zapwire.store.sqlite.repositories.backlog import SqliteBacklog
from zapwire.store.sqlite.repositories.bot_history import SqliteBotHistory
from zapwire.store.sqlite.repositories.bots import SqliteBots
from zapwire.store.sqlite.repositories.chat_timers import SqliteChatTimers
from zapwire.store.sqlite.repositories.clock import SqliteClock
from zapwire.store.sqlite.repositories.delivery_log import SqliteDeliveryLog
from zapwire.store.sqlite.repositories.delivery_queue import SqliteDeliveryQueue
from zapwire.store.sqlite.repositories.endpoints import SqliteEndpoints
from zapwire.store.sqlite.repositories.history_notices import SqliteHistoryNotices
from zapwire.store.sqlite.repositories.journal import SqliteJournal
from zapwire.store.sqlite.repositories.media import SqliteMedia
from zapwire.store.sqlite.repositories.messages import SqliteMessages
from zapwire.store.sqlite.repositories.outbox import SqliteOutbox
from zapwire.store.sqlite.repositories.pacing import SqlitePacing
from zapwire.store.sqlite.repositories.persons import SqlitePersons
from zapwire.store.sqlite.repositories.poll_votes import SqlitePollVotes
from zapwire.store.sqlite.repositories.receipts import SqliteReceipts
from zapwire.store.sqlite.repositories.retention import SqliteRetention
from zapwire.store.sqlite.repositories.tokens import SqliteTokens
from zapwire.store.sqlite.sealed_values import SealedConnection


class SqliteUnitOfWork:
    """One group of writes, or one look; see `store/sqlite/database.py`. Repositories are made when they
    are asked for.
    """

    def __init__(self, sql: SealedConnection) -> None:
        self.sql: Final = sql
        self.emitted: list[Event] = []
        self.after_commit: list[Callable[[], None]] = []
        self.deleted = False
        self.epochs: dict[BotId, int | None] = {}
        """Of the bots' owners, as far as they were read here."""

    def forget(self, emitted: int = 0, steps: int = 0) -> None:
        """What was written is undone: forget the events and steps that came after the first so many."""
        del self.emitted[emitted:], self.after_commit[steps:]
        self.epochs.clear()

    def beat(self) -> None:
        """See `UnitOfWork.beat`."""
        self.sql.execute("UPDATE vault SET one = one")

    @cached_property
    def bots(self) -> SqliteBots:
        """See `View.bots`."""
        return SqliteBots(self, self.sql)

    @cached_property
    def bot_history(self) -> SqliteBotHistory:
        """See `View.bot_history`."""
        return SqliteBotHistory(self, self.sql)

    @cached_property
    def messages(self) -> SqliteMessages:
        """See `View.messages`."""
        return SqliteMessages(self, self.sql)

    @cached_property
    def outbox(self) -> SqliteOutbox:
        """See `View.outbox`."""
        return SqliteOutbox(self, self.sql)

    @cached_property
    def persons(self) -> SqlitePersons:
        """See `View.persons`."""
        return SqlitePersons(self, self.sql)

    @cached_property
    def media(self) -> SqliteMedia:
        """See `View.media`."""
        return SqliteMedia(self, self.sql)

    @cached_property
    def poll_votes(self) -> SqlitePollVotes:
        """See `View.poll_votes`."""
        return SqlitePollVotes(self, self.sql)

    @cached_property
    def chat_timers(self) -> SqliteChatTimers:
        """See `View.chat_timers`."""
        return SqliteChatTimers(self, self.sql)

    @cached_property
    def pacing(self) -> SqlitePacing:
        """See `View.pacing`."""
        return SqlitePacing(self, self.sql)

    @cached_property
    def receipts(self) -> SqliteReceipts:
        """See `View.receipts`."""
        return SqliteReceipts(self, self.sql)

    @cached_property
    def history_notices(self) -> SqliteHistoryNotices:
        """See `View.history_notices`."""
        return SqliteHistoryNotices(self, self.sql)

    @cached_property
    def journal(self) -> SqliteJournal:
        """See `View.journal`."""
        return SqliteJournal(self, self.sql)

    @cached_property
    def retention(self) -> SqliteRetention:
        """See `View.retention`."""
        return SqliteRetention(self, self.sql)

    @cached_property
    def clock(self) -> SqliteClock:
        """See `View.clock`."""
        return SqliteClock(self, self.sql)

    @cached_property
    def endpoints(self) -> SqliteEndpoints:
        """See `View.endpoints`."""
        return SqliteEndpoints(self, self.sql)

    @cached_property
    def delivery_queue(self) -> SqliteDeliveryQueue:
        """See `View.delivery_queue`."""
        return SqliteDeliveryQueue(self, self.sql)

    @cached_property
    def delivery_log(self) -> SqliteDeliveryLog:
        """See `View.delivery_log`."""
        return SqliteDeliveryLog(self, self.sql)

    @cached_property
    def tokens(self) -> SqliteTokens:
        """See `View.tokens`."""
        return SqliteTokens(self, self.sql)

    @cached_property
    def backlog(self) -> SqliteBacklog:
        """See `View.backlog`."""
        return SqliteBacklog(self, self.sql)
