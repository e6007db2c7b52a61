"""One bot: what a person wants of it, what it is doing, and the one task that makes the second follow the first.

Orders (connect, disconnect, restart, logout, delete) and the connection meet here, and they may come in any order at
any time. Three rules keep that simple:

* **One supervisor task** owns the transport. Nobody else starts, stops or logs it out, so no two connections of one
  bot ever exist, and nothing needs to be locked against stopping.
* **An order is an entry in the database, a new status and a new epoch, in one step under one lock.** It returns at
  once; the supervisor sees the new epoch, ends what it was doing and does what is wanted now. Orders that came
  meanwhile collapse into the last one; only a logout is done in any case.
* **The connection speaks with the epoch it was started in.** After a newer order its status reports count for nothing,
  so a connection that is still closing cannot overwrite "stopped". Messages it brings are stored all the same.

Every change of status goes through `_set`: the journal entry is committed first, then the status is told, repeats are
dropped.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from functools import partial
from typing import Any, TypeVar

from zapwire.core import codec, intake, statuses
from zapwire.core.bucket import Bucket
from zapwire.core.limits import Limits
from zapwire.core.sender import Sender
from zapwire.core.statuses import HALTED, Status
from zapwire.errors import Conflict, LoggedOut, NeedsPerson, NotFound, NotSupported, StoreError, TransportError
from zapwire.events import EventType
from zapwire.model import BotState, BotView, Identity, PairingCode, QrCode
from zapwire.store import bots, journal, times
from zapwire.store.bots import BotRow, Halt, Wanted
from zapwire.store.db import Database, Transaction
from zapwire.transport.base import (
    Connected,
    Disconnected,
    Paired,
    Receipt,
    Received,
    Transport,
    TransportEvent,
    TransportFactory,
)

log = logging.getLogger(__name__)
T = TypeVar("T")
_PAIRING = frozenset({BotState.STARTING, BotState.PAIRING, BotState.RECONNECTING})


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
        limits: Limits,
        chance: random.Random,
    ) -> None:
        self._row = row
        self._transports = transports
        self._transport: Transport = transports(row.id)
        self._database = database
        self._sender = sender
        self._limits = limits
        self._chance = chance
        self._bucket = Bucket(limits.starts_per_minute)
        self._lock = asyncio.Lock()
        self._order = Order.RUN if row.starts else Order.STOP
        self._unlink_due = False
        self._epoch = 0
        self._ordered = asyncio.Event()
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        self._status = Status(BotState.STARTING if row.starts else BotState.STOPPED)
        self._since = times.now()
        self._online_at: float | None = None
        self._qr: QrCode | None = None
        self._steps: set[asyncio.Task[Any]] = set()
        if row.halt is not None:
            self._status = Status(row.halt.state, row.halt.reason, row.halt.action)
            self._since = row.halt.since
        self._told = None if row.starts else self.view

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def view(self) -> BotView:
        """The bot as the API shows it."""
        return self._view(self._row, self._status, self._since)

    @property
    def transport(self) -> Transport:
        """The bot's connection, for sending."""
        return self._transport

    @property
    def row(self) -> BotRow:
        """The bot as it is stored."""
        return self._row

    async def qr(self, wait: float) -> QrCode:
        """A code that can still be scanned; waits up to *wait* seconds for one.

        Raises `Conflict` when there is none in time or will be none, saying what to do.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while True:
                    changed = self._changed
                    self._refuse_unless_pairing()
                    if self._qr is not None and self._qr.expires_at > times.now():
                        return self._qr
                    await changed.wait()
        if self._qr is not None and self._qr.expires_at > times.now():
            return self._qr
        reason = f" ({self._status.reason})" if self._status.reason else ""
        raise Conflict(f"there is no QR code yet{reason}: ask again, with ?wait=30 to wait for one")

    async def pairing_code(self, phone: str) -> PairingCode:
        """A code to type on *phone* (E.164). Raises `Conflict`, `NotSupported`, `Refused`, `TooMany`."""
        ask = getattr(self._transport, "pairing_code", None)
        if not self._transport.capabilities.pairing_code or ask is None:
            raise NotSupported("this bot's transport cannot link with a phone number")
        self._refuse_unless_pairing()
        self._bucket.spend()
        try:
            async with asyncio.timeout(self._limits.pairing_wait):
                while self._status.state is not BotState.PAIRING:
                    changed = self._changed
                    self._refuse_unless_pairing()
                    await changed.wait()
        except TimeoutError:
            reason = f": {self._status.reason}" if self._status.reason else ""
            raise Conflict(f"pairing has not begun yet{reason}; ask again") from None
        code: PairingCode = await ask(phone)
        return code

    def _refuse_unless_pairing(self) -> None:
        if self._order is Order.LEAVE:
            raise NotFound("no such bot")
        refusal = statuses.no_qr(self._status, linked=self._linked)
        if refusal is not None:
            raise refusal

    @property
    def _linked(self) -> bool:
        return self._row.identity.phone is not None or self._row.identity.lid is not None

    # -- orders -------------------------------------------------------------------------------------------------

    async def connect(self) -> BotView:
        """Be connected from now on; between two attempts: try now. Raises `TooMany`."""
        return await self._complete(self._connect())

    async def _connect(self) -> BotView:
        async with self._lock:
            self._refuse_when_leaving()
            running = self._order is Order.RUN and self._status.state not in HALTED
            if running and self._row.wanted is Wanted.CONNECTED and self._status.next_try is None:
                return self.view
            if not running or self._status.next_try is not None:
                self._bucket.spend()
            wanted = replace(self._row, wanted=Wanted.CONNECTED, halt=None)
            if running:
                await self._commit(wanted, self._status)
                self._hurry.set()
            else:
                await self._commit(wanted, Status(BotState.STARTING))
                self._give(Order.RUN)
            return self.view

    async def disconnect(self) -> BotView:
        """Be disconnected from now on."""
        return await self._complete(self._disconnect())

    async def _disconnect(self) -> BotView:
        async with self._lock:
            self._refuse_when_leaving()
            status = self._status if self._status.state is BotState.LOGGED_OUT else Status(BotState.STOPPED)
            await self._commit(replace(self._row, wanted=Wanted.STOPPED), status)
            if self._order is not Order.LOGOUT:  # a logout is finished, then it is disconnected anyway
                self._give(Order.STOP)
            return self.view

    async def restart(self, *, pairing: bool = False) -> BotView:
        """Drop the connection and connect anew; with *pairing* only if no phone is linked. `TooMany`, `Conflict`."""
        return await self._complete(self._restart(pairing=pairing))

    async def _restart(self, *, pairing: bool) -> BotView:
        async with self._lock:
            self._refuse_when_leaving()
            if pairing and self._linked:
                raise Conflict("the bot is linked already: log it out first to link another account")
            self._bucket.spend()
            await self._commit(replace(self._row, wanted=Wanted.CONNECTED, halt=None), Status(BotState.STARTING))
            self._give(Order.RUN)
            return self.view

    async def logout(self) -> BotView:
        """Unlink the device; the state becomes `logged_out` once that is done."""
        return await self._complete(self._logout())

    async def _logout(self) -> BotView:
        async with self._lock:
            self._refuse_when_leaving()
            if self._status.state is not BotState.LOGGED_OUT:
                await self._commit(
                    replace(self._row, wanted=Wanted.STOPPED), replace(self._status, reason="logging out")
                )
                self._give(Order.LOGOUT)
            return self.view

    async def leave(self) -> None:
        """Unlink the device and end `run`; the bot takes no more orders."""
        async with self._lock:
            self._refuse_when_leaving()
            self._give(Order.LEAVE)

    async def change(self, *, name: str | None = None, autostart: bool | None = None) -> BotView:
        """Change what is given. A new *autostart* also replaces what the last connect or disconnect said."""
        return await self._complete(self._change(name, autostart))

    async def _change(self, name: str | None, autostart: bool | None) -> BotView:
        async with self._lock:
            self._refuse_when_leaving()
            row = self._row if name is None else replace(self._row, name=name)
            if autostart is not None:
                row = replace(row, autostart=autostart, wanted=None)
            await self._commit(row, self._status)
            return self.view

    def _refuse_when_leaving(self) -> None:
        if self._order is Order.LEAVE:
            raise NotFound("no such bot")

    def _give(self, order: Order) -> None:
        self._order = order
        if order in {Order.LOGOUT, Order.LEAVE}:
            self._unlink_due = True  # no later order takes that back
        self._epoch += 1
        self._ordered.set()
        self._tell_sender()

    def _tell_sender(self) -> None:
        if self._status.state is BotState.CONNECTED and self._order is Order.RUN:
            self._sender.online(self._row.id)
        else:
            self._sender.offline(self._row.id)

    # -- the supervisor -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make the connection follow the orders until the bot leaves; never fails, ends early only by cancelling."""
        if self._order is Order.RUN:
            await self._report(Status(BotState.STARTING), self._epoch)
        while True:
            epoch, order = self._epoch, self._order
            self._ordered.clear()
            if self._unlink_due:
                await self._unlink()
            elif order is Order.RUN:
                unlinked = await self._run_until_ordered(epoch)
                if not unlinked:
                    continue
            else:
                await self._ordered.wait()
                continue
            if self._order is Order.LEAVE:
                return
            await self._forget()
            await self._logged_out()

    async def _run_until_ordered(self, epoch: int) -> bool:
        """Keep the connection until the next order. If that is to unlink, do so while connected; then True."""
        connection = asyncio.create_task(self._keep_connected(epoch), name=f"bot-{self._row.id}")
        try:
            await self._ordered.wait()
            if not self._unlink_due:
                return False
            await self._unlink()
            return True
        finally:
            connection.cancel()
            await asyncio.wait([connection])
            self._hurry.clear()

    async def _keep_connected(self, epoch: int) -> None:
        """Run the transport again and again, until it needs a person."""
        failures = 0
        while True:
            self._online_at = None
            try:
                await self._transport.run(partial(self._emit, epoch))
                error = TransportError("the connection ended")
            except NeedsPerson as halt:
                await self._halt(halt, epoch)
                return
            except TransportError as failed:
                error = failed
            except Exception:
                log.exception("bot %s: the transport failed in a way nobody expected", self._row.id)
                error = TransportError("internal error, see the log")
            failures = 1 if self._was_good() else failures + 1
            delay = statuses.backoff(failures, self._limits, self._chance)
            self._hurry.clear()
            await self._report(statuses.retrying(error, delay), epoch)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._hurry.wait()

    def _was_good(self) -> bool:
        online_at = self._online_at
        return online_at is not None and asyncio.get_running_loop().time() - online_at >= self._limits.good_connection

    async def _halt(self, error: NeedsPerson, epoch: int) -> None:
        status = statuses.halted(error)
        if isinstance(error, LoggedOut):
            await self._forget()
            await self._report(status, epoch, self._unlinked(status))
        else:
            await self._report(status, epoch)

    async def _unlink(self) -> None:
        self._unlink_due = False
        try:
            async with asyncio.timeout(self._limits.logout_time):
                await self._transport.logout()
        except Exception as error:  # noqa: BLE001 - the local state goes in any case; WhatsApp drops the device later
            log.warning("bot %s: WhatsApp was not told of the logout: %s", self._row.id, type(error).__name__)

    async def _forget(self) -> None:
        """Destroy the worthless auth state, or the next connect would try to use it."""
        try:
            await self._transports.forget(self._row.id)
        except Exception:
            log.exception("bot %s: its auth state could not be removed", self._row.id)

    async def _logged_out(self) -> None:
        """Note that the device is unlinked; an order that came meanwhile keeps its status."""
        status = statuses.logged_out()
        async with self._lock:
            with suppress(StoreError):
                if self._order is Order.LOGOUT:
                    await self._commit(self._unlinked(status)(self._row), status)
                    self._order = Order.STOP
                else:
                    await self._commit(replace(self._row, identity=Identity()), self._status)

    def _unlinked(self, status: Status) -> Callable[[BotRow], BotRow]:
        halt = Halt(status.state, status.reason or "", status.action or "", times.now())
        return lambda row: replace(row, identity=Identity(), halt=halt)

    # -- what the connection tells ------------------------------------------------------------------------------

    async def _emit(self, epoch: int, event: TransportEvent) -> None:
        match event:
            case Received():
                self._sender.heard(self._row.id, event.message)
                await intake.received(self._database, self._row.id, event.message)
            case Receipt():
                await intake.receipt(self._database, self._row.id, event)
            case QrCode():
                await self._show_qr(event, epoch)
            case Paired():
                status = Status(BotState.STARTING, "paired, connecting")
                await self._report(status, epoch, partial(_known, event.identity), strict=True)
            case Connected():
                if self._online_at is None:
                    self._online_at = asyncio.get_running_loop().time()
                await self._report(Status(BotState.CONNECTED), epoch, partial(_known, event.identity), strict=True)
            case Disconnected():
                await self._report(Status(BotState.RECONNECTING, event.reason), epoch, strict=True)

    async def _show_qr(self, code: QrCode, epoch: int) -> None:
        def told(transaction: Transaction) -> None:
            journal.append(transaction, EventType.BOT_QR, self._row.id, codec.qr_json(code))

        action = "scan the QR code with WhatsApp on the phone: Linked devices, Link a device"
        status = Status(BotState.PAIRING, "waits for a phone", action)
        await self._report(status, epoch, also=told, code=code, strict=True)

    # -- the one setter -----------------------------------------------------------------------------------------

    async def _report(
        self,
        status: Status,
        epoch: int,
        change: Callable[[BotRow], BotRow] = lambda row: row,
        *,
        also: Callable[[Transaction], None] | None = None,
        code: QrCode | None = None,
        strict: bool = False,
    ) -> None:
        """Set the status unless an order came since *epoch*. Only with *strict* a failing database is raised."""

        async def step() -> None:
            async with self._lock:
                if epoch == self._epoch:
                    await self._commit(change(self._row), status, also=also, code=code)

        try:
            await self._complete(step())
        except StoreError as error:
            if strict:
                raise
            log.error("bot %s: its state could not be stored: %s", self._row.id, error)  # noqa: TRY400 - no bug of ours

    async def _commit(
        self,
        row: BotRow,
        status: Status,
        *,
        also: Callable[[Transaction], None] | None = None,
        code: QrCode | None = None,
    ) -> None:
        """Store *row* and the event, then let everybody see them; with the lock held."""
        since = self._since if status.state is self._status.state else times.now()
        told = self._view(row, status, since)
        repeat = told == self._told
        if repeat and row == self._row and also is None:
            return

        def work(transaction: Transaction) -> None:
            if row != self._row:
                bots.update(transaction, row)
            if not repeat:
                journal.append(transaction, EventType.BOT_STATE, row.id, codec.bot_json(told))
            if also is not None:
                also(transaction)

        await self._database.write(work)
        self._row, self._status, self._since, self._told = row, status, since, told
        self._qr = code or (self._qr if status.state is BotState.PAIRING else None)
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._tell_sender()

    def _view(self, row: BotRow, status: Status, since: datetime) -> BotView:
        return BotView(
            id=row.id,
            name=row.name,
            autostart=row.autostart,
            state=status.state,
            reason=status.reason,
            since=since,
            action=status.action,
            next_try=status.next_try,
            identity=row.identity,
            created_at=row.created_at,
        )

    async def _complete(self, step: Coroutine[Any, Any, T]) -> T:
        """Run *step* to its end even when the caller is cancelled: what is stored and what is known must agree."""
        task = asyncio.create_task(step)
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        return await asyncio.shield(task)


def _known(news: Identity, row: BotRow) -> BotRow:
    """*row* with what *news* tells of its account, which may be only a part."""
    old = row.identity
    identity = Identity(news.phone or old.phone, news.lid or old.lid, news.push_name or old.push_name)
    return replace(row, identity=identity, halt=None)
