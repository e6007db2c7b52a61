"""What becomes of one bot's outgoing messages, stored however long the database fails, and told then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from zapwire.core import intake
from zapwire.core.limits import Limits
from zapwire.core.merges import Merges
from zapwire.errors import StoreError
from zapwire.model import BotId, MessageId, MessageState, OutgoingView, Sent
from zapwire.store import outbox, persons
from zapwire.store.db import Database, Transaction

log = logging.getLogger(__name__)
T = TypeVar("T")

Done = Callable[[OutgoingView], None]


class Ledger:
    """Of one bot; *done* hears of each message that has come to its end."""

    def __init__(self, bot: BotId, database: Database, limits: Limits, merges: Merges, done: Done) -> None:
        self._bot = bot
        self._merges = merges
        self._database = database
        self._limits = limits
        self._done = done
        self.closing = False
        """A failing database is waited for no longer."""

    async def take(self, message: MessageId) -> OutgoingView | None:
        """It is to be sent now; None when there is nothing to send (any more)."""

        def work(transaction: Transaction) -> OutgoingView | None:
            view = outbox.take(transaction, self._bot, message)
            if view is not None and view.state is MessageState.FAILED:
                intake.tell(transaction, self._bot, message)
            return view

        view = await self.write(work)
        if view is not None and view.state is MessageState.FAILED:
            self._done(view)
            return None
        return view

    async def sent(self, message: MessageId, to: str, sent: Sent) -> None:
        """It was sent *to* that JID, and may have been received already."""

        def work(transaction: Transaction) -> OutgoingView | None:
            if sent.to is not None:  # an account whose number is written otherwise
                self._merges.note(transaction, self._bot, persons.alias(transaction, self._bot, sent.to, to))
            for step in outbox.sent(transaction, self._bot, message, sent.whatsapp_id):
                if step is MessageState.SENT or outbox.apply_step(transaction, message, step):
                    intake.tell(transaction, self._bot, message)
            return outbox.get(transaction.sql, self._bot, message)

        await self._record(work)

    async def end(self, message: MessageId, state: MessageState, reason: str) -> None:
        """It was not sent, or nobody knows."""

        def work(transaction: Transaction) -> OutgoingView | None:
            if outbox.finish(transaction, message, state, reason):
                intake.tell(transaction, self._bot, message)
            return outbox.get(transaction.sql, self._bot, message)

        await self._record(work)

    async def requeue(
        self, message: MessageId, attempts: int, due: datetime, reason: str | None, *, told: bool = False
    ) -> None:
        """It was not sent and waits again; with an event when that has to be *told*."""

        def work(transaction: Transaction) -> None:
            if outbox.requeue(transaction, message, attempts, due, reason) and told:
                intake.tell(transaction, self._bot, message)

        await self.write(work)

    async def held(self, some: Sequence[MessageId], reason: str) -> None:
        """These wait because of a limit: note that, and tell it of each once."""

        def work(transaction: Transaction) -> None:
            for message in some:
                if outbox.hold(transaction, message, reason):
                    intake.tell(transaction, self._bot, message)

        await self.write(work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Store a step, however long the database fails: nobody else would. Raises `StoreError` only when closing."""
        while True:
            try:
                return await self._database.write(work)
            except StoreError as error:
                if self.closing:
                    raise
                log.error("bot %s: sending waits for the database: %s", self._bot, error)  # noqa: TRY400
                await asyncio.sleep(self._limits.store_again)

    async def _record(self, work: Callable[[Transaction], OutgoingView | None]) -> None:
        try:
            view = await self.write(work)
        except StoreError as error:  # the row stays `sending` and becomes `unknown` at the next start
            log.error("bot %s: the end of a message could not be stored: %s", self._bot, error)  # noqa: TRY400
            return
        if view is not None:
            self._done(view)
