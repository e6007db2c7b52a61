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

from zapwire.core.bots import logout
from zapwire.core.bots import status as statuses
from zapwire.core.bots.connection import Connection
from zapwire.core.bots.context import BotContext
from zapwire.core.bots.logout import Unlinked
from zapwire.core.bots.state import CurrentState
from zapwire.core.bots.status import Status
from zapwire.core.bots.transitions import unlinked
from zapwire.model import timestamps
from zapwire.model.bots import BotRow, BotState, Identity, Wanted
from zapwire.model.errors import (
    Blocked,
    Condition,
    Conflict,
    NotUnlinked,
    StoreError,
    TransportError,
    ZapwireError,
)
from zapwire.runtime.tasks import spawn
from zapwire.store.ports import Transactions
from zapwire.transport.protocol import TakesPairingOptions, Transport

log = logging.getLogger(__name__)


class Command(Enum):
    """What the supervisor has to bring about."""

    STOP = auto()
    RUN = auto()
    LOGOUT = auto()
    LEAVE = auto()
    """Unlink and end for good: the bot is being deleted."""


@dataclass(slots=True)
class Deletion:
    """A deletion under way."""

    erase: Callable[[], Awaitable[None]]
    """Destroys the auth state and deletes the row, once the device is unlinked."""
    force: bool
    """Also when WhatsApp cannot be notified."""
    before: Command
    """What is to be done again when the deletion fails."""
    done: asyncio.Future[None]
    """Raises why the bot stays."""


class Supervisor:
    """Of one bot, and of all that is known of it; made and given its orders by `Bot`."""

    def __init__(
        self,
        row: BotRow,
        transport: Transport,
        context: BotContext,
        store: Transactions,
    ) -> None:
        self._transport = transport
        self._store = store
        self._context = context
        self._unlink_due = row.unlinking is not None  # ordered before the daemon ended
        self._force = False
        """Unlink without waiting until WhatsApp can be notified."""
        self._attempt: Unlinked | None = None
        """How unlinking over the connection went that there was; not looked at yet."""
        self._attempts = 0
        """To unlink, in vain, in a row."""
        self._departure: Deletion | None = None
        self._ordered = asyncio.Event()
        self._connection: Connection | None = None
        self.command = Command.RUN if row.starts else Command.LOGOUT if row.unlinking else Command.STOP
        self.idle = asyncio.Event()
        """There is no connection, and none is being ended."""
        self._current = self.current = CurrentState(row, statuses.at_start(row), store, self.followed)
        """What is known of the bot."""
        self.followed()

    def give(self, command: Command, *, force: bool = False) -> None:
        """Follow *command* from now on; its status is stored already. With *force* no logout waits for WhatsApp."""
        self.command = command
        if command is Command.LOGOUT:
            self._unlink_due = True  # no later order takes that back
            self._force |= force
        self._current.epoch += 1
        self.idle.clear()
        self._ordered.set()
        self._current.wake()
        self.followed()

    def depart(self, erase: Callable[[], Awaitable[None]], *, force: bool) -> asyncio.Future[None]:
        """Unlink, let *erase* delete the bot, and end; the result raises why not, and then all is as it was before."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._departure = Deletion(erase, force, self.command, done)
        self._current.leaving = True
        self.give(Command.LEAVE)
        return done

    def hurry(self) -> None:
        """Between two attempts to connect or to unlink: try now."""
        if self._connection is not None:
            self._connection.hurry()
        else:
            self._ordered.set()

    def followed(self) -> None:
        """After each change: let the transport know its account, and messages be taken and go out, or not."""
        sender, at = self._context.outbox, self._current
        self._transport.account = at.row.identity
        sender.refuse(at.bot, statuses.no_sends(at.row, at.status))
        sender.set_country(at.bot, at.row.default_country)
        if isinstance(self._transport, TakesPairingOptions):
            self._transport.pairing_options = at.row.pairing_options.over(self._context.pairing_options)
        if at.status.state is BotState.CONNECTED and self.command is Command.RUN:
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
                    log.exception("bot %s: internal error; restarting its supervisor", self._current.bot)
                    await self._stay(error)
                failures += 1
                await self._pause(failures)
        finally:
            self.idle.set()
            if self._departure is not None:
                self._departure.done.cancel()

    async def _pause(self, failures: int) -> None:
        delay = statuses.backoff(failures, self._context.limits, self._context.chance)
        if self.command is Command.RUN:
            error = TransportError("internal error, see the log", condition=Condition.INTERNAL)
            await self._current.report(statuses.retrying(error, delay), self._current.epoch)
        elif self.command is Command.STOP and not self._unlink_due:
            self.idle.set()
        await self._ordered_within(delay)

    async def _ordered_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ordered.wait()

    async def _follow_orders(self) -> None:
        if self.command is Command.RUN and self._current.row.halt is None:
            self._current.tell_anew()
            await self._current.report(Status(BotState.STARTING), self._current.epoch)
        while not self._current.gone:
            self._ordered.clear()
            if self._departure is not None:
                await self._leave(self._departure)
            elif self._unlink_due:
                await self._log_out()
            elif self.command is Command.RUN:
                await self._run_until_ordered()
            else:
                self.idle.set()
                await self._ordered.wait()

    async def _run_until_ordered(self) -> None:
        """Keep the connection until the next order. If that is to unlink, do so while connected."""
        connection = self._connection = self._new_connection()
        task = spawn(connection.run(), f"bot-{self._current.bot}", awaited=True)
        ordered = spawn(self._ordered.wait(), f"orders-{self._current.bot}", awaited=True)
        try:
            await asyncio.wait([task, ordered], return_when=asyncio.FIRST_COMPLETED)
            if not ordered.done():
                task.result()  # it ends by itself for good only when a person is needed, or time
            await ordered
            if connection.online and self._unlinks_now:
                patience = self._context.limits.logout_time
                self._attempt = await logout.unlink(self._transport, self._current.bot, patience=patience)
        finally:
            self._connection = None
            task.cancel()
            ordered.cancel()
            await asyncio.wait([task, ordered])

    @property
    def _unlinks_now(self) -> bool:
        return self._unlink_due or self._departure is not None

    def _new_connection(self, *, heeded: bool = True) -> Connection:
        return Connection(self._current, self._transport, self._context, self._store, heeded=heeded)

    async def _unlink(self, *, force: bool) -> Unlinked:
        """Remove the device from its account, if WhatsApp can be notified."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            return attempt
        at, patience = self._current, self._context.limits.logout_time
        if at.linked and at.row.halt is None and not force:
            emit = self._new_connection(heeded=False).emit
            return await logout.connect_and_unlink(self._transport, at.bot, emit, patience=patience)
        # Nothing is linked, or it must not connect by itself: with a halt another try would find the same.
        attempt = await logout.unlink(self._transport, at.bot, patience=patience)
        if attempt.foreign is None and attempt.error is not None:
            return Unlinked(Blocked(attempt.error.detail, action=""))
        return attempt

    # -- logging out --------------------------------------------------------------------------------------------

    async def _log_out(self) -> None:
        """One attempt; when it fails, the pause until the next one."""
        force, limits, at = self._force, self._context.limits, self._current
        attempt = await self._unlink(force=force)
        until = (at.row.unlinking or timestamps.now()) + timedelta(seconds=limits.logout_kept)
        if attempt.foreign is not None and not force:
            await self._stored(self._refuse_logout(attempt.foreign), attempt)
            return
        if attempt.error is not None and attempt.worth_another_try and not force and timestamps.now() < until:
            await self._put_off(attempt.error)
            return
        try:
            await self._context.transports.auth_state(at.row.transport).forget(at.bot)
        except Exception as error:
            log.exception("bot %s: its auth state could not be destroyed", at.bot)
            why = error.detail if isinstance(error, ZapwireError) else type(error).__name__
            await self._put_off(TransportError(f"its auth state cannot be destroyed: {why}"))
            return
        await self._stored(self._note_logout(told=attempt.told), attempt)

    async def _stored(self, step: Coroutine[Any, Any, None], attempt: Unlinked) -> None:
        """Store how *attempt* ended; when the database fails, the next round does it again, after a pause."""
        try:
            await self._current.complete(step)
        except StoreError as error:
            log.error("bot %s: a state change cannot be stored yet: %s", self._current.bot, error)  # noqa: TRY400 - no bug of ours
            self._attempt = attempt
            await self._ordered_within(self._context.limits.store_again)

    async def _put_off(self, error: ZapwireError) -> None:
        limits, at = self._context.limits, self._current
        self._attempts += 1
        delay = statuses.backoff(self._attempts, limits, self._context.chance)
        until = (at.row.unlinking or timestamps.now()) + timedelta(seconds=limits.logout_kept)
        stopped = self.command is not Command.RUN
        await at.report(statuses.logging_out(error.detail, delay, until, stopped=stopped), at.epoch)
        await self._ordered_within(min(delay, max(0.0, (until - timestamps.now()).total_seconds())))

    async def _refuse_logout(self, error: Blocked) -> None:
        """Destroy nothing: what lies there belongs to another bot."""
        at = self._current
        async with at.lock:
            await at.commit(replace(at.row, unlinking=None), statuses.halted(error))
            self._unlink_due = False
            if self.command is Command.LOGOUT:
                self.command = Command.STOP

    async def _note_logout(self, *, told: bool) -> None:
        """Note that the device is unlinked, and what waited to be sent by its account failed."""
        status, at = statuses.logged_out(told=told), self._current
        abandon = partial(self._context.outbox.abandon, bot=at.bot)
        async with at.lock:
            if self.command is Command.LOGOUT:
                await at.commit(unlinked(status)(at.row), status, also=abandon)
                self.command = Command.STOP
            else:  # an order that came meanwhile keeps its status
                row = replace(at.row, identity=Identity(), unlinking=None, restriction=None)
                await at.commit(
                    row, self._begun() if at.status.code == Condition.LOGGING_OUT else at.status, also=abandon
                )
            self._unlink_due = self._force = False
            self._attempts = 0

    def _begun(self) -> Status:
        """The state at the beginning of what is to be done now."""
        return Status(BotState.STARTING if self.command is Command.RUN else BotState.STOPPED)

    # -- leaving ------------------------------------------------------------------------------------------------

    async def _leave(self, departure: Deletion) -> None:
        """Delete the bot if its device could be unlinked; else let it go on as before."""
        at = self._current
        attempt = await self._unlink(force=departure.force)
        if not departure.force and (why := _refusal(attempt)) is not None:
            await self._stay(why)
            return
        try:
            # From here on there is no way back: after a crash, or when it fails, it is logged out.
            await at.complete(self._note_departure())
            departure.before, self._attempt, self._force = Command.LOGOUT, attempt, not attempt.told
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
        at = self._current
        async with at.lock:
            since = at.row.unlinking or timestamps.now()
            await at.commit(replace(at.row, wanted=Wanted.STOPPED, unlinking=since), at.status)

    async def _stay(self, error: Exception) -> None:
        """The deletion under way has failed, if there is one: take orders again, and go on as before."""
        departure, self._departure = self._departure, None
        if departure is None:
            return
        self._current.leaving = False
        self.give(departure.before)
        if self.command is Command.RUN and self._current.row.halt is None:
            await self._current.report(Status(BotState.STARTING), self._current.epoch)
        if not departure.done.done():
            departure.done.set_exception(error)


def _refusal(attempt: Unlinked) -> ZapwireError | None:
    """Why a bot is not deleted, of which WhatsApp does not know."""
    if attempt.foreign is not None:
        return Conflict(f"{attempt.foreign.detail}. {attempt.foreign.action}")
    if attempt.error is None or not attempt.worth_another_try:
        return None
    return NotUnlinked(
        f"WhatsApp could not be notified that the device is removed ({attempt.error.detail}): try again later, or "
        "delete with force=true and remove the device on the phone under Linked devices"
    )
