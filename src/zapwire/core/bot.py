"""One bot: what a person wants of it, and how that is told to the task that makes the connection follow.

Orders (connect, disconnect, restart, logout, delete) and the connection meet here, and they may come in any order at
any time. Three rules keep that simple:

* **One supervisor task** owns the transport (`core/supervisor.py`).
* **An order is an entry in the database, a new status and a new epoch, in one step under one lock.** It returns at
  once; the supervisor sees the new epoch, ends what it was doing and does what is wanted now. Orders that came
  meanwhile collapse into the last one; only a logout is done in any case.
* **The connection speaks with the epoch it was started in** (`core/connection.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from zapwire.core import linking, proxies, statuses
from zapwire.core.bucket import Bucket
from zapwire.core.changes import halted
from zapwire.core.insisting import insist
from zapwire.core.keep import KEEP, Keep
from zapwire.core.means import Means
from zapwire.core.radar import Radar
from zapwire.core.standing import Standing
from zapwire.core.statuses import HALTED, Status
from zapwire.core.supervisor import Order, Supervisor
from zapwire.errors import Condition, Conflict
from zapwire.model import BotState, BotView, PairingCode, QrCode, Restriction
from zapwire.proxy import Proxy
from zapwire.store import times
from zapwire.store.bots import BotRow, Wanted
from zapwire.tasks import spawn
from zapwire.transport.base import Transport

T = TypeVar("T")


class Bot:
    """One bot; `run` is its supervisor's, the rest are the orders. Made and owned by `Fleet`."""

    def __init__(
        self,
        row: BotRow,
        means: Means,
    ) -> None:
        self._transport: Transport = means.transports(row.id)
        proxies.use(self._transport, row.proxy)
        self._limits = means.limits
        self._bucket = Bucket(means.limits.starts_per_minute)
        self._supervisor = Supervisor(row, self._transport, means)
        self._standing = self._supervisor.standing
        self.radar = Radar(row.id, means.limits, row.restriction, self._note_restriction)
        """What the account may not send for the moment."""
        self._restriction = row.restriction
        """The newest, stored or not."""
        self._noting = False
        """It is being stored."""

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

    async def run(self) -> None:
        """Make the connection follow the orders until the bot leaves; see `Supervisor.run`."""
        await self._supervisor.run()

    # -- orders -------------------------------------------------------------------------------------------------

    async def connect(self) -> BotView:
        """Be connected from now on; between two attempts: try now. Raises `TooMany`."""
        return await self._standing.complete(self._connect())

    async def _connect(self) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_unfit(at.row)
            running = self._supervisor.order is Order.RUN and at.status.state not in HALTED
            if running and at.row.wanted is Wanted.CONNECTED and at.status.next_try is None:
                return at.view
            if not running or at.status.next_try is not None:
                self._bucket.spend()
            wanted = replace(at.row, wanted=Wanted.CONNECTED, halt=None)
            if running:
                await at.commit(wanted, at.status)
                self._supervisor.hurry()
            else:
                await at.commit(wanted, Status(BotState.STARTING))
                self._supervisor.give(Order.RUN)
            return at.view

    async def disconnect(self) -> BotView:
        """Be disconnected from now on."""
        return await self._standing.complete(self._disconnect())

    async def _disconnect(self) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            await self._end_connection()
            return at.view

    async def _end_connection(self) -> None:
        """With the lock held."""
        await self._standing.commit(replace(self._standing.row, wanted=Wanted.STOPPED), self._stopped())
        if self._supervisor.order is not Order.LOGOUT:  # a logout is finished, then it is disconnected anyway
            self._supervisor.give(Order.STOP)

    def _stopped(self) -> Status:
        at = self._standing
        if at.row.moved or at.row.damaged or at.status.state is BotState.LOGGED_OUT:
            return at.status
        if at.status.code == Condition.LOGGING_OUT:
            return replace(at.status, state=BotState.STOPPED)
        return Status(BotState.STOPPED, statuses.LOGGING_OUT if at.row.unlinking is not None else None)

    async def restart(self, *, pairing: bool = False) -> BotView:
        """Drop the connection and connect anew; with *pairing* only if no phone is linked. `TooMany`, `Conflict`."""
        return await self._standing.complete(self._restart(pairing=pairing))

    async def _restart(self, *, pairing: bool) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_unfit(at.row)
            if pairing and at.linked:
                raise Conflict("the bot is linked already: log it out first to link another account")
            self._bucket.spend()
            await at.commit(replace(at.row, wanted=Wanted.CONNECTED, halt=None), Status(BotState.STARTING))
            self._supervisor.give(Order.RUN)
            return at.view

    async def logout(self, *, force: bool = False) -> BotView:
        """Unlink the device; the state becomes `logged_out` once WhatsApp has been told, or at once with *force*.

        Raises `Conflict` when it has moved, and `TooMany`.
        """
        return await self._standing.complete(self._logout(force=force))

    async def _logout(self, *, force: bool) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_unfit(at.row)
            if at.status.state is not BotState.LOGGED_OUT:
                if at.row.unlinking is not None and not force:  # again: try now
                    self._bucket.spend()
                row = replace(at.row, wanted=Wanted.STOPPED, unlinking=at.row.unlinking or times.now())
                await at.commit(row, replace(at.status, reason=statuses.LOGGING_OUT, action=None, next_try=None))
                self._supervisor.give(Order.LOGOUT, force=force)
            return at.view

    async def hand_over(self, make: Callable[[], Awaitable[T]]) -> T:
        """Disconnect, and once that is done let *make* copy the auth state: the bot has moved away then.

        Raises `Conflict` when another order comes meanwhile or the connection does not end, and what *make* raises;
        then nothing has moved, and it stays a stopped bot unless the other order says otherwise.
        """
        at = self._standing
        mine = await at.complete(self._begin_move())
        try:
            async with asyncio.timeout(self._limits.move_time):
                await self._idle(mine)
        except TimeoutError:
            raise Conflict("the bot's connection does not end: try again later") from None
        made = await make()
        await at.complete(self._move_away(mine))
        return made

    async def _begin_move(self) -> int:
        """Disconnect; the epoch of that order."""
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            if at.row.unlinking is not None:
                raise Conflict("the bot is being logged out")
            await self._end_connection()
            return at.epoch

    async def _idle(self, mine: int) -> None:
        """Until the connection has ended. Raises `Conflict` once another order has come since *mine*."""
        at, idle = self._standing, self._supervisor.idle
        while True:
            changed = at.changed
            _refuse_another(at, mine)
            if idle.is_set():
                return
            ways = [spawn(event.wait(), f"move-{at.bot}", awaited=True) for event in (idle, changed)]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()

    async def _move_away(self, mine: int) -> None:
        at = self._standing
        async with at.lock:
            _refuse_another(at, mine)
            if not at.linked:
                raise Conflict("the bot was logged out meanwhile: there is nothing to export")
            status = statuses.moved_away()
            await at.commit(halted(status, replace(at.row, wanted=Wanted.STOPPED)), status)

    async def arrive(self, place: Callable[[], Awaitable[None]], *, start: bool) -> BotView:
        """Come back: let *place* put the auth state here, and be a bot like any other. Raises what *place* raises, and
        `Conflict` when the bot had not moved away.
        """
        return await self._standing.complete(self._arrive(place, start=start))

    async def _arrive(self, place: Callable[[], Awaitable[None]], *, start: bool) -> BotView:
        at = self._standing
        async with at.lock:  # nobody deletes it meanwhile, which would leave the auth state behind
            at.refuse_when_leaving()
            if not at.row.moved:
                raise Conflict("there is a bot with this id already: import it under another id", field="id")
            await place()
            wanted = Wanted.CONNECTED if start else Wanted.STOPPED
            status = Status(BotState.STARTING if start else BotState.STOPPED)
            await at.commit(replace(at.row, wanted=wanted, halt=None), status)
            self._supervisor.give(Order.RUN if start else Order.STOP)
            return at.view

    async def leave(self, erase: Callable[[], Awaitable[None]], *, force: bool = False) -> None:
        """Unlink the device, let *erase* delete the bot, and end `run`.

        Raises `NotUnlinked` when WhatsApp cannot be told, unless *force*, and what *erase* raises; the bot stays then.
        """
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            done = self._supervisor.depart(erase, force=force)
        await done

    async def change(
        self,
        *,
        name: str | None = None,
        autostart: bool | None = None,
        proxy: Proxy | Keep | None = KEEP,
        country: str | Keep | None = KEEP,
    ) -> BotView:
        """Change what is given. A new *autostart* also replaces what the last connect or disconnect said, a new *proxy*
        makes the connection anew. Raises `TooMany`.
        """
        return await self._standing.complete(self._change(name, autostart, proxy, country))

    async def _change(
        self, name: str | None, autostart: bool | None, proxy: Proxy | Keep | None, country: str | Keep | None
    ) -> BotView:
        at = self._standing
        async with at.lock:
            at.refuse_when_leaving()
            if at.row.damaged:
                _refuse_unfit(at.row)
            row = at.row if name is None else replace(at.row, name=name)
            if autostart is not None:
                row = replace(row, autostart=autostart, wanted=None)
            if not isinstance(country, Keep):
                row = replace(row, default_country=country)
            if isinstance(proxy, Keep) or proxy == row.proxy:
                await at.commit(row, at.status)
                return at.view
            row, status = replace(row, proxy=proxy), at.status
            renew = self._supervisor.order is Order.RUN and status.state not in HALTED
            if renew:
                self._bucket.spend()
                status = Status(BotState.STARTING)
            await at.commit(row, status)
            proxies.use(self._transport, proxy)
            if renew:
                self._supervisor.give(Order.RUN)
            return at.view

    def _note_restriction(self, restriction: Restriction | None) -> None:
        """Store the newest *restriction*; one that an even newer one replaces before it is stored is left out."""
        self._restriction = restriction
        if not self._noting:
            self._noting = True
            self._standing.soon(self._note_newest(), "restriction")

    async def _note_newest(self) -> None:
        at, limits = self._standing, self._limits

        async def note() -> None:
            async with at.lock:
                await at.commit(replace(at.row, restriction=self._restriction), at.status)

        try:
            while at.row.restriction != self._restriction:
                await insist(note, at.bot, limits.store_again, limits.store_patience)
        finally:
            self._noting = False


def _refuse_another(at: Standing, mine: int) -> None:
    at.refuse_when_leaving()
    if at.epoch != mine:
        raise Conflict("another order came for this bot meanwhile: try again")


def _refuse_unfit(row: BotRow) -> None:
    if row.damaged and row.halt is not None:
        raise Conflict(f"{row.halt.reason}; {row.halt.action}")
    if row.moved:
        raise Conflict(
            "the bot has moved to another installation: delete it here, or import its bundle to have it back"
        )
