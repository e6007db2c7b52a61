"""What becomes of one bot's outgoing messages, stored however long the database fails, and emitted then."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar

from zapwire.core.messages import answers, inbox
from zapwire.core.messages.pacing.bot_pacing import BotPacing
from zapwire.core.messages.references import References
from zapwire.core.person_merges import PersonMerges
from zapwire.core.store_retry import retry_until_stored
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.interactive import PollVoteContent
from zapwire.model.errors import Fenced, StoreError, ZapwireError
from zapwire.model.messages import MessageId, MessageState, Outgoing, OutgoingView, Sent
from zapwire.model.pacing import Hold
from zapwire.store.ports import Transactions, UnitOfWork

log = logging.getLogger(__name__)
T = TypeVar("T")

Done = Callable[[OutgoingView], None]


class SendResults:
    """Of one bot; *done* hears of each message that has come to its end."""

    def __init__(self, bot: BotId, store: Transactions, limits: Tuning, merges: PersonMerges, done: Done) -> None:
        self._bot = bot
        self._merges = merges
        self._store = store
        self._limits = limits
        self._done = done
        self.closing = False
        """A failing database is waited for no longer."""

    async def take(self, message: MessageId, chat: str, attempts: int, pacing: BotPacing) -> Outgoing | Hold | None:
        """It is to be sent now, to the JID *chat*, unless *pacing* holds it; None when there is nothing to send (any
        more).
        """

        def work(transaction: UnitOfWork) -> Outgoing | OutgoingView | Hold | None:
            view = transaction.outbox.take(self._bot, message)
            if view is None or view.state is MessageState.FAILED:
                return inbox.emit_status(transaction, self._bot, message) if view is not None else None
            if (hold := pacing.admit(transaction, view.to)) is not None:
                self._put_off(transaction, message, attempts, hold)
                return hold
            try:
                return References(transaction, self._bot, chat).outgoing(view.content, self._limits.list_fallback)
            except ZapwireError as error:  # what it is about was not sent, or is kept no longer, or it is too late
                transaction.outbox.finish(message, MessageState.FAILED, error.detail)
                return inbox.emit_status(transaction, self._bot, message)

        found = await self.write(work)
        if isinstance(found, OutgoingView):
            self._done(found)
            return None
        return found

    async def put_off(self, message: MessageId, attempts: int, hold: Hold) -> None:
        """It waits as pacing says, and that is emitted."""
        await self.write(lambda transaction: self._put_off(transaction, message, attempts, hold))

    def _put_off(self, transaction: UnitOfWork, message: MessageId, attempts: int, hold: Hold) -> None:
        if transaction.outbox.requeue(message, attempts, hold.until, hold.reason, hold.code):
            inbox.emit_status(transaction, self._bot, message)

    async def sent(self, message: MessageId, to: str, sent: Sent) -> None:
        """It was sent *to* that JID, and may have been received already."""

        def work(transaction: UnitOfWork) -> OutgoingView | None:
            if sent.to is not None:  # an account whose number is written otherwise
                self._merges.note(transaction, self._bot, transaction.persons.alias(self._bot, sent.to, to))
            view = None
            for step, reason in transaction.outbox.sent(self._bot, message, sent.whatsapp_id, timestamps.now()):
                if step is MessageState.SENT or transaction.outbox.apply_step(message, step, reason):
                    view = inbox.emit_status(transaction, self._bot, message)
            view = view or transaction.outbox.get(self._bot, message)
            if view is not None and isinstance(view.content, PollVoteContent):
                answers.voted(transaction, self._bot, to, view.content, timestamps.now())
            return view

        await self._record(work)

    async def expire(self, message: MessageId, reason: str) -> None:
        """It waited too long, unless its deadline was moved."""

        def work(transaction: UnitOfWork) -> OutgoingView | None:
            if transaction.outbox.expire(message, reason):
                return inbox.emit_status(transaction, self._bot, message)
            return None

        await self._record(work)

    async def end(self, message: MessageId, state: MessageState, reason: str) -> None:
        """It was not sent, or nobody knows."""

        def work(transaction: UnitOfWork) -> OutgoingView | None:
            if transaction.outbox.finish(message, state, reason):
                return inbox.emit_status(transaction, self._bot, message)
            return transaction.outbox.get(self._bot, message)

        await self._record(work)

    async def requeue(
        self, message: MessageId, attempts: int, due: datetime, reason: str | None, *, told: bool = False
    ) -> None:
        """It was not sent and waits again; with an event when that has to be *told*."""

        def work(transaction: UnitOfWork) -> None:
            if transaction.outbox.requeue(message, attempts, due, reason) and told:
                inbox.emit_status(transaction, self._bot, message)

        await self.write(work)

    async def held(self, some: Sequence[MessageId], reason: str) -> None:
        """These wait because of a limit: note that, and tell it of each once."""

        def work(transaction: UnitOfWork) -> None:
            for message in some:
                if transaction.outbox.hold(message, reason):
                    inbox.emit_status(transaction, self._bot, message)

        await self.write(work)

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        """Store a step, however long the database fails: nobody else would. Raises `StoreError` only when closing."""
        step, again = partial(self._store.write, work), self._limits.store_again
        return await retry_until_stored(step, self._bot, again, closing=lambda: self.closing)

    async def _record(self, work: Callable[[UnitOfWork], OutgoingView | None]) -> None:
        try:
            view = await self.write(work)
        except StoreError as error:  # the row stays `sending` and becomes `unknown` at the next start
            log.error("bot %s: the end of a message could not be stored: %s", self._bot, error)  # noqa: TRY400
            return
        except Fenced:  # the bot was deleted or taken over meanwhile: its messages are no concern of this process
            return
        if view is not None:
            self._done(view)
