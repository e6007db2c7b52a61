"""The one task that makes a bot's connection follow the orders, and that unlinks its device.

It owns the transport: nobody else starts, stops or logs it out, so no two connections of one bot ever exist, and
nothing needs to be locked against stopping. A new order ends what it was doing; orders that came meanwhile collapse
into the last one, only a logout is done in any case. A pause, whatever it is for, ends with the next order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum, auto
from functools import partial
from typing import Any

from zapwire.core import statuses, unlinking
from zapwire.core.changes import unlinked
from zapwire.core.connection import Connection
from zapwire.core.means import Means
from zapwire.core.standing import Standing
from zapwire.core.statuses import Status
from zapwire.core.unlinking import Unlinked
from zapwire.errors import Blocked, Condition, Conflict, NotUnlinked, StoreError, TransportError, ZapwireError
from zapwire.model import BotState, Identity
from zapwire.store import times
from zapwire.store.bots import BotRow, Wanted
from zapwire.tasks import spawn
from zapwire.transport.base import Transport

log = logging.getLogger(__name__)


class Order(Enum):
    """What the supervisor has to bring about."""

    STOP = auto()
    RUN = auto()
    LOGOUT = auto()
    LEAVE = auto()
    """Unlink and end for good: the bot is being deleted."""


@dataclass(slots=True)
class Departure:
    """A deletion under way."""

    erase: Callable[[], Awaitable[None]]
    """Destroys the auth state and deletes the row, once the device is unlinked."""
    force: bool
    """Also when WhatsApp cannot be told."""
    before: Order
    """What is to be done again when the deletion fails."""
    done: asyncio.Future[None]
    """Raises why the bot stays."""


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
        self._unlink_due = row.unlinking is not None  # ordered before the daemon ended
        self._force = False
        """Unlink without waiting until WhatsApp can be told."""
        self._attempt: Unlinked | None = None
        """How unlinking over the connection went that there was; not looked at yet."""
        self._attempts = 0
        """To unlink, in vain, in a row."""
        self._departure: Departure | None = None
        self._ordered = asyncio.Event()
        self._connection: Connection | None = None
        self.order = Order.RUN if row.starts else Order.LOGOUT if row.unlinking else Order.STOP
        self.idle = asyncio.Event()
        """There is no connection, and none is being ended."""
        self._standing = self.standing = Standing(row, statuses.at_start(row), means.database, self.followed)
        """What is known of the bot."""
        self.followed()

    def give(self, order: Order, *, force: bool = False) -> None:
        """Follow *order* from now on; its status is stored already. With *force* no logout waits for WhatsApp."""
        self.order = order
        if order is Order.LOGOUT:
            self._unlink_due = True  # no later order takes that back
            self._force |= force
        self._standing.epoch += 1
        self.idle.clear()
        self._ordered.set()
        self._standing.wake()
        self.followed()

    def depart(self, erase: Callable[[], Awaitable[None]], *, force: bool) -> asyncio.Future[None]:
        """Unlink, let *erase* delete the bot, and end; the result raises why not, and then all is as it was before."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._departure = Departure(erase, force, self.order, done)
        self._standing.leaving = True
        self.give(Order.LEAVE)
        return done

    def hurry(self) -> None:
        """Between two attempts to connect or to unlink: try now."""
        if self._connection is not None:
            self._connection.hurry()
        else:
            self._ordered.set()

    def followed(self) -> None:
        """After each change: let the transport know its account, and messages be taken and go out, or not."""
        sender, at = self._means.sender, self._standing
        self._transport.account = at.row.identity
        sender.refuse(at.bot, statuses.no_sends(at.row, at.status))
        sender.set_country(at.bot, at.row.default_country)
        if at.status.state is BotState.CONNECTED and self.order is Order.RUN:
            sender.online(at.bot)
        else:
            sender.offline(at.bot)

    async def run(self) -> None:
        """Make the connection follow the orders until the bot leaves; never fails, ends early only by cancelling.

        An internal error in here restarts this bot's supervisor, and costs no other bot anything.
        """
        failures = 0
        try:
            while True:
                try:
                    return await self._follow_orders()
                except Exception as error:
                    log.exception("bot %s: internal error; restarting its supervisor", self._standing.bot)
                    await self._stay(error)
                failures += 1
                await self._pause(failures)
        finally:
            self.idle.set()
            if self._departure is not None:
                self._departure.done.cancel()

    async def _pause(self, failures: int) -> None:
        delay = statuses.backoff(failures, self._means.limits, self._means.chance)
        if self.order is Order.RUN:
            error = TransportError("internal error, see the log", condition=Condition.INTERNAL)
            await self._standing.report(statuses.retrying(error, delay), self._standing.epoch)
        elif self.order is Order.STOP and not self._unlink_due:
            self.idle.set()
        await self._ordered_within(delay)

    async def _ordered_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ordered.wait()

    async def _follow_orders(self) -> None:
        if self.order is Order.RUN and self._standing.row.halt is None:
            self._standing.tell_anew()
            await self._standing.report(Status(BotState.STARTING), self._standing.epoch)
        while not self._standing.gone:
            self._ordered.clear()
            if self._departure is not None:
                await self._leave(self._departure)
            elif self._unlink_due:
                await self._log_out()
            elif self.order is Order.RUN:
                await self._run_until_ordered()
            else:
                self.idle.set()
                await self._ordered.wait()

    async def _run_until_ordered(self) -> None:
        """Keep the connection until the next order. If that is to unlink, do so while connected."""
        connection = self._connection = self._new_connection()
        task = spawn(connection.run(), f"bot-{self._standing.bot}", awaited=True)
        ordered = spawn(self._ordered.wait(), f"orders-{self._standing.bot}", awaited=True)
        try:
            await asyncio.wait([task, ordered], return_when=asyncio.FIRST_COMPLETED)
            if not ordered.done():
                task.result()  # it ends by itself for good only when a person is needed, or time
            await ordered
            if connection.online and self._unlinks_now:
                patience = self._means.limits.logout_time
                self._attempt = await unlinking.unlink(self._transport, self._standing.bot, patience=patience)
        finally:
            self._connection = None
            task.cancel()
            ordered.cancel()
            await asyncio.wait([task, ordered])

    @property
    def _unlinks_now(self) -> bool:
        return self._unlink_due or self._departure is not None

    def _new_connection(self, *, heeded: bool = True) -> Connection:
        return Connection(self._standing, self._transport, self._means, heeded=heeded)

    async def _unlink(self, *, force: bool) -> Unlinked:
        """Remove the device from its account, if WhatsApp can be told."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            return attempt
        at, patience = self._standing, self._means.limits.logout_time
        if at.linked and at.row.halt is None and not force:
            emit = self._new_connection(heeded=False).emit
            return await unlinking.connect_and_unlink(self._transport, at.bot, emit, patience=patience)
        # Nothing is linked, or it must not connect by itself: with a halt another try would find the same.
        attempt = await unlinking.unlink(self._transport, at.bot, patience=patience)
        if attempt.foreign is None and attempt.error is not None:
            return Unlinked(Blocked(attempt.error.detail, action=""))
        return attempt

    # -- logging out --------------------------------------------------------------------------------------------

    async def _log_out(self) -> None:
        """One attempt; when it fails, the pause until the next one."""
        force, limits, at = self._force, self._means.limits, self._standing
        attempt = await self._unlink(force=force)
        until = (at.row.unlinking or times.now()) + timedelta(seconds=limits.logout_kept)
        if attempt.foreign is not None and not force:
            await self._stored(self._refuse_logout(attempt.foreign), attempt)
            return
        if attempt.error is not None and attempt.worth_another_try and not force and times.now() < until:
            await self._put_off(attempt.error)
            return
        try:
            await self._means.transports.forget(at.bot)
        except Exception as error:
            log.exception("bot %s: its auth state could not be destroyed", at.bot)
            why = error.detail if isinstance(error, ZapwireError) else type(error).__name__
            await self._put_off(TransportError(f"its auth state cannot be destroyed: {why}"))
            return
        await self._stored(self._note_logout(told=attempt.told), attempt)

    async def _stored(self, step: Coroutine[Any, Any, None], attempt: Unlinked) -> None:
        """Store how *attempt* ended; when the database fails, the next round does it again, after a pause."""
        try:
            await self._standing.complete(step)
        except StoreError as error:
            log.error("bot %s: what happened cannot be stored yet: %s", self._standing.bot, error)  # noqa: TRY400 - no bug of ours
            self._attempt = attempt
            await self._ordered_within(self._means.limits.store_again)

    async def _put_off(self, error: ZapwireError) -> None:
        limits, at = self._means.limits, self._standing
        self._attempts += 1
        delay = statuses.backoff(self._attempts, limits, self._means.chance)
        until = (at.row.unlinking or times.now()) + timedelta(seconds=limits.logout_kept)
        stopped = self.order is not Order.RUN
        await at.report(statuses.logging_out(error.detail, delay, until, stopped=stopped), at.epoch)
        await self._ordered_within(min(delay, max(0.0, (until - times.now()).total_seconds())))

    async def _refuse_logout(self, error: Blocked) -> None:
        """Destroy nothing: what lies there belongs to another bot."""
        at = self._standing
        async with at.lock:
            await at.commit(replace(at.row, unlinking=None), statuses.halted(error))
            self._unlink_due = False
            if self.order is Order.LOGOUT:
                self.order = Order.STOP

    async def _note_logout(self, *, told: bool) -> None:
        """Note that the device is unlinked, and what waited to be sent by its account failed."""
        status, at = statuses.logged_out(told=told), self._standing
        abandon = partial(self._means.sender.abandon, bot=at.bot)
        async with at.lock:
            if self.order is Order.LOGOUT:
                await at.commit(unlinked(status)(at.row), status, also=abandon)
                self.order = Order.STOP
            else:  # an order that came meanwhile keeps its status
                row = replace(at.row, identity=Identity(), unlinking=None, restriction=None)
                await at.commit(
                    row, self._begun() if at.status.code == Condition.LOGGING_OUT else at.status, also=abandon
                )
            self._unlink_due = self._force = False
            self._attempts = 0

    def _begun(self) -> Status:
        """The state at the beginning of what is to be done now."""
        return Status(BotState.STARTING if self.order is Order.RUN else BotState.STOPPED)

    # -- leaving ------------------------------------------------------------------------------------------------

    async def _leave(self, departure: Departure) -> None:
        """Delete the bot if its device could be unlinked; else let it go on as before."""
        at = self._standing
        attempt = await self._unlink(force=departure.force)
        if not departure.force and (why := _refusal(attempt)) is not None:
            await self._stay(why)
            return
        try:
            # From here on there is no way back: after a crash, or when it fails, it is logged out.
            await at.complete(self._note_departure())
            departure.before, self._attempt, self._force = Order.LOGOUT, attempt, not attempt.told
            await departure.erase()
        except Exception as error:
            log.exception("bot %s: could not be deleted", at.bot)
            await self._stay(error)
            return
        at.gone = True
        at.wake()
        if not departure.done.done():  # whoever ordered it may be gone: the daemon stops
            departure.done.set_result(None)
        self._departure = None

    async def _note_departure(self) -> None:
        at = self._standing
        async with at.lock:
            since = at.row.unlinking or times.now()
            await at.commit(replace(at.row, wanted=Wanted.STOPPED, unlinking=since), at.status)

    async def _stay(self, error: Exception) -> None:
        """The deletion under way has failed, if there is one: take orders again, and go on as before."""
        departure, self._departure = self._departure, None
        if departure is None:
            return
        self._standing.leaving = False
        self.give(departure.before)
        if self.order is Order.RUN and self._standing.row.halt is None:
            await self._standing.report(Status(BotState.STARTING), self._standing.epoch)
        if not departure.done.done():
            departure.done.set_exception(error)


def _refusal(attempt: Unlinked) -> ZapwireError | None:
    """Why a bot is not deleted, of which WhatsApp does not know."""
    if attempt.foreign is not None:
        return Conflict(f"{attempt.foreign.detail}. {attempt.foreign.action}")
    if attempt.error is None or not attempt.worth_another_try:
        return None
    return NotUnlinked(
        f"WhatsApp could not be told that the device is removed ({attempt.error.detail}): try again later, or delete "
        "with force=true and remove the device on the phone under Linked devices"
    )
