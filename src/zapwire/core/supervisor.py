"""The one task that makes a bot's connection follow the orders, and that unlinks its device.

It owns the transport: nobody else starts, stops or logs it out, so no two connections of one bot ever exist, and
nothing needs to be locked against stopping. A new order ends what it was doing; orders that came meanwhile collapse
into the last one, only a logout is done in any case.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from enum import Enum, auto
from functools import partial

from zapwire.core import statuses, unlinking
from zapwire.core.changes import forget, unlinked
from zapwire.core.connection import Connection
from zapwire.core.insisting import insist
from zapwire.core.means import Means
from zapwire.core.standing import Standing
from zapwire.core.statuses import Status
from zapwire.errors import Condition, TransportError
from zapwire.model import BotState, Identity
from zapwire.store.bots import BotRow
from zapwire.transport.base import Transport

log = logging.getLogger(__name__)


class Order(Enum):
    """What the supervisor has to bring about."""

    STOP = auto()
    RUN = auto()
    LOGOUT = auto()
    LEAVE = auto()
    """Unlink and end for good: the bot is being deleted."""


class Supervisor:
    """Of one bot, and of all that is known of it; made and given its orders by `Bot`."""

    def __init__(
        self,
        row: BotRow,
        transport: Transport,
        means: Means,
    ) -> None:
        self._transport = transport
        self._means = means
        self._unlink_due = row.unlinking  # ordered before the daemon ended
        self._told = True
        """Does WhatsApp know of the last logout?"""
        self._ordered = asyncio.Event()
        self._connection: Connection | None = None
        self.order = Order.RUN if row.starts else Order.LOGOUT if row.unlinking else Order.STOP
        self.idle = asyncio.Event()
        """There is no connection, and none is being ended."""
        self._standing = self.standing = Standing(row, statuses.at_start(row), means.database, self.tell_sender)
        """What is known of the bot."""

    def give(self, order: Order) -> None:
        """Follow *order* from now on; its status is stored already."""
        self.order = order
        if order in {Order.LOGOUT, Order.LEAVE}:
            self._unlink_due = True  # no later order takes that back
        self._standing.epoch += 1
        self.idle.clear()
        self._ordered.set()
        self._standing.wake()
        self.tell_sender()

    def hurry(self) -> None:
        """Between two attempts to connect: try now."""
        if self._connection is not None:
            self._connection.hurry()

    def tell_sender(self) -> None:
        """Let messages go out, or not, as the state is now."""
        if self._standing.status.state is BotState.CONNECTED and self.order is Order.RUN:
            self._means.sender.online(self._standing.bot)
        else:
            self._means.sender.offline(self._standing.bot)

    async def run(self) -> None:
        """Make the connection follow the orders until the bot leaves; never fails, ends early only by cancelling.

        A mistake of ours in here costs this bot a new beginning, and no other bot anything.
        """
        failures = 0
        try:
            while True:
                try:
                    return await self._follow_orders()
                except Exception:
                    log.exception("bot %s: a mistake of ours; it begins anew", self._standing.bot)
                failures += 1
                await self._pause(failures)
        finally:
            self.idle.set()

    async def _pause(self, failures: int) -> None:
        delay = statuses.backoff(failures, self._means.limits, self._means.chance)
        if self.order is Order.RUN:
            error = TransportError("internal error, see the log", condition=Condition.INTERNAL)
            await self._standing.report(statuses.retrying(error, delay), self._standing.epoch)
        await asyncio.sleep(delay)

    async def _follow_orders(self) -> None:
        if self.order is Order.RUN and self._standing.row.halt is None:
            self._standing.tell_anew()
            await self._standing.report(Status(BotState.STARTING), self._standing.epoch)
        while True:
            order = self.order
            self._ordered.clear()
            if self._unlink_due:
                await self._unlink(connected=False)
            elif order is Order.RUN:
                if not await self._run_until_ordered():
                    continue
            else:
                self.idle.set()
                await self._ordered.wait()
                continue
            if self.order is Order.LEAVE:
                return
            await forget(self._means.transports, self._standing.bot)
            await insist(self._note_logout, self._standing.bot, self._means.limits.store_again)

    async def _run_until_ordered(self) -> bool:
        """Keep the connection until the next order. If that is to unlink, do so while connected; then True."""
        connection = self._connection = self._new_connection()
        task = asyncio.create_task(connection.run(), name=f"bot-{self._standing.bot}")
        task.add_done_callback(log_failure)
        ordered = asyncio.create_task(self._ordered.wait())
        try:
            await asyncio.wait([task, ordered], return_when=asyncio.FIRST_COMPLETED)
            if not ordered.done():
                task.result()  # it ends by itself for good only when a person is needed, or time
            await ordered
            if not self._unlink_due:
                return False
            await self._unlink(connected=True)
            return True
        finally:
            self._connection = None
            task.cancel()
            ordered.cancel()
            await asyncio.wait([task, ordered])

    def _new_connection(self, *, heeded: bool = True) -> Connection:
        return Connection(self._standing, self._transport, self._means, heeded=heeded)

    async def _unlink(self, *, connected: bool) -> None:
        """Remove the device from its account, if WhatsApp can be told."""
        self._unlink_due = False
        at, patience = self._standing, self._means.limits.logout_time
        if connected or not at.linked or at.row.halt is not None:  # a halted bot must not connect by itself
            self._told = await unlinking.unlink(self._transport, at.bot, patience=patience)
        else:
            emit = self._new_connection(heeded=False).emit
            self._told = await unlinking.connect_and_unlink(self._transport, at.bot, emit, patience=patience)

    async def _note_logout(self) -> None:
        """Note that the device is unlinked, and what waited to be sent by its account failed."""
        status, at = statuses.logged_out(told=self._told), self._standing
        abandon = partial(self._means.sender.abandon, bot=at.bot)
        async with at.lock:
            if self.order is Order.LOGOUT:
                await at.commit(unlinked(status)(at.row), status, also=abandon)
                self.order = Order.STOP
            else:  # an order that came meanwhile keeps its status
                row = replace(at.row, identity=Identity(), unlinking=False)
                await at.commit(row, at.status, also=abandon)


def log_failure(task: asyncio.Task[None]) -> None:
    """Done callback of a task that must not fail."""
    if not task.cancelled() and task.exception() is not None:
        log.error("%s: ended by a mistake of ours", task.get_name(), exc_info=task.exception())
