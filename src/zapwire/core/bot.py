"""One bot: what a person wants of it, and the one task that makes the connection follow.

Orders (connect, disconnect, restart, logout, delete) and the connection meet here, and they may come in any order at
any time. Three rules keep that simple:

* **One supervisor task** owns the transport. Nobody else starts, stops or logs it out, so no two connections of one
  bot ever exist, and nothing needs to be locked against stopping.
* **An order is an entry in the database, a new status and a new epoch, in one step under one lock.** It returns at
  once; the supervisor sees the new epoch, ends what it was doing and does what is wanted now. Orders that came
  meanwhile collapse into the last one; only a logout is done in any case.
* **The connection speaks with the epoch it was started in** (`core/connection.py`).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from enum import Enum, auto
from functools import partial
from typing import TypeVar

from zapwire.core import linking, proxies, statuses, unlinking
from zapwire.core.breaker import Breaker
from zapwire.core.bucket import Bucket
from zapwire.core.changes import forget, halted, unlinked
from zapwire.core.connection import Connection
from zapwire.core.insisting import insist
from zapwire.core.keep import KEEP, Keep
from zapwire.core.limits import Limits
from zapwire.core.radar import Radar
from zapwire.core.sender import Sender
from zapwire.core.standing import Standing
from zapwire.core.statuses import HALTED, Status
from zapwire.errors import Condition, Conflict, TransportError
from zapwire.model import BotState, BotView, Identity, PairingCode, QrCode, Restriction
from zapwire.proxy import Proxy
from zapwire.store.bots import BotRow, Wanted
from zapwire.store.db import Database
from zapwire.transport.base import Transport, TransportFactory

log = logging.getLogger(__name__)
T = TypeVar("T")


class Order(Enum):
    """What the supervisor has to bring about."""

    STOP = auto()
    RUN = auto()
    LOGOUT = auto()
    LEAVE = auto()
    """Unlink and end for good: the bot is being deleted."""


class Bot:
    """One bot; `run` is its supervisor, the rest are the orders. Made and owned by `Fleet`."""

    def __init__(
        self,
        row: BotRow,
        transports: TransportFactory,
        database: Database,
        sender: Sender,
        *,
        breaker: Breaker,
        limits: Limits,
        chance: random.Random,
    ) -> None:
        self._breaker = breaker
        self._transports = transports
        self._transport: Transport = transports(row.id)
        proxies.use(self._transport, row.proxy)
        self._database = database
        self._sender = sender
        self._limits = limits
        self._chance = chance
        self._bucket = Bucket(limits.starts_per_minute)
        self._order = Order.RUN if row.starts else Order.LOGOUT if row.unlinking else Order.STOP
        self._unlink_due = row.unlinking  # ordered before the daemon ended
        self._told = True
        """Does WhatsApp know of the last logout?"""
        self._ordered = asyncio.Event()
        self._idle = asyncio.Event()
        """There is no connection, and none is being ended."""
        self._connection: Connection | None = None
        self._standing = Standing(row, statuses.at_start(row), database, self._tell_sender)
        self.radar = Radar(row.id, limits, row.restriction, self._note_restriction)
        """What the account may not send for the moment."""

    @property
    def standing(self) -> Standing:
        """What is known of the bot."""
        return self._standing

    @property
    def view(self) -> BotView:
        """The bot as the API shows it."""
        return self._standing.view

    @property
    def transport(self) -> Transport:
        """The bot's connection, for sending."""
        return self._transport

    async def qr(self, wait: float) -> QrCode:
        """See `linking.qr`."""
        return await linking.qr(self._standing, wait)

    async def pairing_code(self, phone: str) -> PairingCode:
        """See `linking.pairing_code`."""
        return await linking.pairing_code(
            self._standing, self._transport, self._bucket, phone, wait=self._limits.pairing_wait
        )

    # -- orders -------------------------------------------------------------------------------------------------

    async def connect(self) -> BotView:
        """Be connected from now on; between two attempts: try now. Raises `TooMany`."""
        return await self._standing.complete(self._connect())

    async def _connect(self) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_moved(at.row)
            running = self._order is Order.RUN and at.status.state not in HALTED
            if running and at.row.wanted is Wanted.CONNECTED and at.status.next_try is None:
                return at.view
            if not running or at.status.next_try is not None:
                self._bucket.spend()
            wanted = replace(at.row, wanted=Wanted.CONNECTED, halt=None)
            if running:
                await at.commit(wanted, at.status)
                if self._connection is not None:
                    self._connection.hurry()
            else:
                await at.commit(wanted, Status(BotState.STARTING))
                self._give(Order.RUN)
            return at.view

    async def disconnect(self) -> BotView:
        """Be disconnected from now on."""
        return await self._standing.complete(self._disconnect())

    async def _disconnect(self) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            stays = at.row.moved or at.status.state is BotState.LOGGED_OUT
            status = at.status if stays else Status(BotState.STOPPED)
            await at.commit(replace(at.row, wanted=Wanted.STOPPED), status)
            if self._order is not Order.LOGOUT:  # a logout is finished, then it is disconnected anyway
                self._give(Order.STOP)
            return at.view

    async def restart(self, *, pairing: bool = False) -> BotView:
        """Drop the connection and connect anew; with *pairing* only if no phone is linked. `TooMany`, `Conflict`."""
        return await self._standing.complete(self._restart(pairing=pairing))

    async def _restart(self, *, pairing: bool) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_moved(at.row)
            if pairing and at.linked:
                raise Conflict("the bot is linked already: log it out first to link another account")
            self._bucket.spend()
            await at.commit(replace(at.row, wanted=Wanted.CONNECTED, halt=None), Status(BotState.STARTING))
            self._give(Order.RUN)
            return at.view

    async def logout(self) -> BotView:
        """Unlink the device; the state becomes `logged_out` once that is done. Raises `Conflict` when it has moved."""
        return await self._standing.complete(self._logout())

    async def _logout(self) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_moved(at.row)
            if at.status.state is not BotState.LOGGED_OUT:
                row = replace(at.row, wanted=Wanted.STOPPED, unlinking=True)
                await at.commit(row, replace(at.status, reason=statuses.LOGGING_OUT))
                self._give(Order.LOGOUT)
            return at.view

    async def hand_over(self, make: Callable[[], Awaitable[T]]) -> T:
        """Disconnect, and once that is done let *make* take the auth state along: the bot has moved away then.

        Raises `Conflict` when another order comes meanwhile, and what *make* raises; then it stays a stopped bot.
        """
        return await self._standing.complete(self._hand_over(make))

    async def _hand_over(self, make: Callable[[], Awaitable[T]]) -> T:
        await self._disconnect()
        await self._idle.wait()
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            if self._order is not Order.STOP:
                raise Conflict("the bot was given another order meanwhile: try again")
            if not at.linked:
                raise Conflict("the bot was logged out meanwhile: there is nothing to export")
            made = await make()
            status = statuses.moved_away()
            await at.commit(halted(status, replace(at.row, wanted=Wanted.STOPPED)), status)
            return made

    async def arrive(self, *, start: bool) -> BotView:
        """Be a bot like any other: its auth state has just been put here."""
        return await self._standing.complete(self._arrive(start=start))

    async def _arrive(self, *, start: bool) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            wanted = Wanted.CONNECTED if start else Wanted.STOPPED
            status = Status(BotState.STARTING if start else BotState.STOPPED)
            await at.commit(replace(at.row, wanted=wanted, halt=None), status)
            self._give(Order.RUN if start else Order.STOP)
            return at.view

    async def leave(self) -> None:
        """Unlink the device and end `run`; the bot takes no more orders. After a crash it comes back logged out."""
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            await at.commit(replace(at.row, wanted=Wanted.STOPPED, unlinking=True), at.status)
            at.leaving = True
            self._give(Order.LEAVE)

    async def change(
        self, *, name: str | None = None, autostart: bool | None = None, proxy: Proxy | Keep | None = KEEP
    ) -> BotView:
        """Change what is given. A new *autostart* also replaces what the last connect or disconnect said, a new *proxy*
        makes the connection anew. Raises `TooMany`.
        """
        return await self._standing.complete(self._change(name, autostart, proxy))

    async def _change(self, name: str | None, autostart: bool | None, proxy: Proxy | Keep | None) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            row = at.row if name is None else replace(at.row, name=name)
            if autostart is not None:
                row = replace(row, autostart=autostart, wanted=None)
            if isinstance(proxy, Keep) or proxy == row.proxy:
                await at.commit(row, at.status)
                return at.view
            row, status = replace(row, proxy=proxy), at.status
            renew = self._order is Order.RUN and status.state not in HALTED
            if renew:
                self._bucket.spend()
                status = Status(BotState.STARTING)
            await at.commit(row, status)
            proxies.use(self._transport, proxy)
            if renew:
                self._give(Order.RUN)
            return at.view

    def _give(self, order: Order) -> None:
        self._order = order
        if order in {Order.LOGOUT, Order.LEAVE}:
            self._unlink_due = True  # no later order takes that back
        self._standing.epoch += 1
        self._idle.clear()
        self._ordered.set()
        self._standing.wake()
        self._tell_sender()

    def _tell_sender(self) -> None:
        if self._standing.status.state is BotState.CONNECTED and self._order is Order.RUN:
            self._sender.online(self._standing.bot)
        else:
            self._sender.offline(self._standing.bot)

    def _note_restriction(self, restriction: Restriction | None) -> None:
        at = self._standing

        async def note() -> None:
            async with at.lock:
                await at.commit(replace(at.row, restriction=restriction), at.status)

        at.soon(insist(note, at.bot, self._limits.store_again, self._limits.store_patience))

    # -- the supervisor -----------------------------------------------------------------------------------------

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
            self._idle.set()

    async def _pause(self, failures: int) -> None:
        delay = statuses.backoff(failures, self._limits, self._chance)
        if self._order is Order.RUN:
            error = TransportError("internal error, see the log", condition=Condition.INTERNAL)
            await self._standing.report(statuses.retrying(error, delay), self._standing.epoch)
        await asyncio.sleep(delay)

    async def _follow_orders(self) -> None:
        if self._order is Order.RUN and self._standing.row.halt is None:
            self._standing.tell_anew()
            await self._standing.report(Status(BotState.STARTING), self._standing.epoch)
        while True:
            order = self._order
            self._ordered.clear()
            if self._unlink_due:
                await self._unlink(connected=False)
            elif order is Order.RUN:
                if not await self._run_until_ordered():
                    continue
            else:
                self._idle.set()
                await self._ordered.wait()
                continue
            if self._order is Order.LEAVE:
                return
            await forget(self._transports, self._standing.bot)
            await insist(self._note_logout, self._standing.bot, self._limits.store_again)

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
        return Connection(
            self._standing,
            self._transport,
            self._transports,
            self._database,
            self._sender,
            breaker=self._breaker,
            limits=self._limits,
            chance=self._chance,
            heeded=heeded,
        )

    async def _unlink(self, *, connected: bool) -> None:
        """Remove the device from its account, if WhatsApp can be told."""
        self._unlink_due = False
        at, patience = self._standing, self._limits.logout_time
        if connected or not at.linked or at.row.halt is not None:  # a halted bot must not connect by itself
            self._told = await unlinking.unlink(self._transport, at.bot, patience=patience)
        else:
            emit = self._new_connection(heeded=False).emit
            self._told = await unlinking.connect_and_unlink(self._transport, at.bot, emit, patience=patience)

    async def _note_logout(self) -> None:
        """Note that the device is unlinked, and what waited to be sent by its account failed."""
        status, at = statuses.logged_out(told=self._told), self._standing
        abandon = partial(self._sender.abandon, bot=at.bot)
        async with at.lock:
            if self._order is Order.LOGOUT:
                await at.commit(unlinked(status)(at.row), status, also=abandon)
                self._order = Order.STOP
            else:  # an order that came meanwhile keeps its status
                row = replace(at.row, identity=Identity(), unlinking=False)
                await at.commit(row, at.status, also=abandon)


def _refuse_moved(row: BotRow) -> None:
    if row.moved:
        raise Conflict(
            "the bot has moved to another installation: delete it here, or import its bundle to have it back"
        )


def log_failure(task: asyncio.Task[None]) -> None:
    """Done callback of a task that must not fail."""
    if not task.cancelled() and task.exception() is not None:
        log.error("%s: ended by a mistake of ours", task.get_name(), exc_info=task.exception())
