"""One bot's connection, kept for as long as one order stands, and what it tells.

It speaks with the epoch it was started in: after a newer order its status reports count for nothing, so a connection
that is still closing cannot overwrite "stopped". Messages it brings are stored all the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from zapwire.core import changes, codec, intake, statuses
from zapwire.core.insisting import insist, insist_in_turn
from zapwire.core.liveness import Liveness
from zapwire.core.means import Means
from zapwire.core.standing import Also, Change, Standing, same
from zapwire.core.statuses import Status
from zapwire.errors import Blocked, Condition, Interrupted, LoggedOut, NeedsPerson, StoreError, TransportError
from zapwire.events import EventType
from zapwire.model import BotState, QrCode
from zapwire.store import journal, times
from zapwire.store.db import Transaction
from zapwire.store.turns import Turn
from zapwire.tasks import spawn
from zapwire.transport.base import (
    Connected,
    Disconnected,
    HistoryOffered,
    Paired,
    Receipt,
    Stored,
    Transport,
    TransportEvent,
    Troubled,
    Withheld,
)

log = logging.getLogger(__name__)

_CLOCK_STEP = 60.0
"""How often a long wait looks at the clock, which may be set."""

_LASTING = frozenset(
    {Condition.BANNED, Condition.REPLACED, Condition.LOCKED, Condition.REFUSED, Condition.SILENT, Condition.LOGGED_OUT}
)
"""What a restart of the daemon does not change, so that it is no reason to try again. An outdated client may have been
updated meanwhile, a damaged database restored, and a pairing costs nothing."""

_NEVER = -1
"""The epoch of a connection whose status nobody asked for: it only brings messages."""


class Connection:
    """Runs the transport again and again until it needs a person; made anew for each order."""

    def __init__(
        self,
        standing: Standing,
        transport: Transport,
        means: Means,
        *,
        heeded: bool = True,
    ) -> None:
        self._standing = standing
        self._epoch = standing.epoch if heeded else _NEVER
        self._transport = transport
        self._means = means
        self._online_at: float | None = None
        self.online = False
        """It stands now."""
        self._hurry = asyncio.Event()
        self._turn: Turn | None = None
        """Of the newest message or receipt."""
        self._liveness = Liveness(standing.bot, transport, means.limits, means.chance, self._probed)
        self._failures = 0
        self._silent = 0
        """Connections in a row that were given up because WhatsApp answered nothing on them."""

    def hurry(self) -> None:
        """Between two attempts: try now."""
        self._hurry.set()

    async def run(self) -> None:
        """Keep the bot connected; returns when only a person can go on."""
        with self._watched():
            await self._sit_out()
            while True:
                self._online_at = None
                try:
                    await self._connect()
                    error = TransportError("the connection ended", condition=Condition.LOST)
                except NeedsPerson as halt:
                    if not await self._halt(halt):
                        return
                    continue
                except TransportError as failed:
                    error = failed
                except StoreError as failed:
                    error = TransportError(failed.detail, condition=Condition.STORE)
                except Exception:
                    log.exception("bot %s: the transport failed unexpectedly", self._standing.bot)
                    error = TransportError("internal error, see the log", condition=Condition.INTERNAL)
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    return  # a transport that fails while it is being stopped has stopped
                await self._pause(error)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        standing = self._standing
        standing.health = lambda: self._liveness.health
        try:
            yield
        finally:
            standing.health = lambda: None
            self._means.breaker.left(standing.bot)

    async def _connect(self) -> None:
        """Run the transport, and ask meanwhile whether it hears. Raises what ends it; too much silence is `Blocked`."""
        ways = [
            spawn(self._transport.run(self.emit), f"transport-{self._standing.bot}", awaited=True),
            spawn(self._liveness.run(), f"liveness-{self._standing.bot}", awaited=True),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if not ways[0].done():
                ways[1].result()
            ways[0].result()
        except TransportError as error:
            if error.condition is Condition.SILENT and self._online_at is not None:
                self._silent += 1
            if self._silent >= self._means.limits.silent_rounds:
                self._silent = 0
                raise self._deaf() from None
            raise
        finally:
            self.online = False
            self._liveness.offline()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def _deaf(self) -> Blocked:
        rest, rounds = self._means.limits.silent_rest, self._means.limits.silent_rounds
        return Blocked(
            f"WhatsApp takes the login and then answers nothing, {rounds} times in a row",
            action="Look at WhatsApp on the phone; if it works there, log the bot out and pair it again. "
            "The bot tries again by itself, too.",
            condition=Condition.SILENT,
            until=times.now() + timedelta(seconds=rest),
        )

    async def _pause(self, error: TransportError) -> None:
        """Between two attempts: for as long as the backoff says, or until another bot has found WhatsApp again."""
        interrupted = isinstance(error, Interrupted)  # no failure
        if not interrupted:
            self._failures = 1 if self._was_good() else self._failures + 1
        limits, chance = self._means.limits, self._means.chance
        elsewhere = self._means.breaker.failed(self._standing.bot, error, self._standing.row.proxy)
        at_once = error.condition is Condition.SILENT and self._silent == 1 and self._online_at is not None
        delay = 0.0 if at_once or interrupted else statuses.backoff(self._failures, limits, chance)
        status = statuses.retrying(error, delay)
        if elsewhere is not None:
            delay = limits.backoff_most * chance.uniform(1, 1 + limits.jitter)
            status = statuses.spoken_for(error, delay)
        self._hurry.clear()
        await self._standing.report(status, self._epoch)
        hurry = spawn(self._hurry.wait(), "hurry", awaited=True)
        found = spawn((elsewhere or asyncio.Event()).wait(), "found", awaited=True)
        try:
            await asyncio.wait([hurry, found], timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            if found.done() and not hurry.done():  # not all in one moment
                await asyncio.wait([hurry], timeout=chance.uniform(0, limits.spread))
        finally:
            hurry.cancel()
            found.cancel()

    async def _sit_out(self) -> None:
        """Wait for the end of a halt that time ends."""
        standing = self._standing
        halt = standing.row.halt
        if halt is None or halt.until is None:
            return
        await _until(halt.until)
        change: Change = lambda row: replace(row, halt=None)  # noqa: E731 - one line, one meaning
        await standing.report(Status(BotState.STARTING), self._epoch, change)

    async def _probed(self, failures: int) -> None:
        """Tell what a probe found out, when that is news."""
        standing, limits = self._standing, self._means.limits
        if failures == 0:
            self._silent = 0
            if standing.unhealthy:
                standing.unhealthy = False
                await standing.report(Status(BotState.CONNECTED), self._epoch, event=EventType.BOT_HEALTHY)
        elif failures >= limits.unhealthy_after:
            event = None if standing.unhealthy else EventType.BOT_UNHEALTHY
            standing.unhealthy = True
            await standing.report(statuses.unanswered(failures), self._epoch, event=event)

    def _was_good(self) -> bool:
        if self._online_at is None:
            return False
        return asyncio.get_running_loop().time() - self._online_at >= self._means.limits.good_connection

    async def _halt(self, error: NeedsPerson) -> bool:
        """Note why only a person can go on. True when the time has come to try again all the same."""
        status, standing = statuses.halted(error), self._standing
        self._means.breaker.left(standing.bot)
        change: Change = partial(changes.halted, status) if error.condition in _LASTING else same
        also: Also | None = None
        if isinstance(error, LoggedOut):
            await changes.forget(self._means.transports, standing.bot)
            change, also = changes.unlinked(status), partial(self._means.sender.abandon, bot=standing.bot)
        # Nothing else will correct the state: there is no connection any more.
        report = partial(standing.report, status, self._epoch, change, also=also, strict=True)
        await insist(report, standing.bot, self._means.limits.store_again)
        if error.until is None:
            return False
        await self._sit_out()
        return True

    async def emit(self, event: TransportEvent) -> None:
        """Take in what the transport tells; returns once it is stored.

        WhatsApp does not say it twice, so a failing database is tried again: every step can be repeated. News of the
        connection only for a while; messages and receipts for as long as it takes, in the order in which they came.
        """
        limits, bot = self._means.limits, self._standing.bot
        if not isinstance(event, Stored):
            await insist(partial(self._take_in, event), bot, limits.store_again, limits.store_patience)
            return
        self._silent = 0  # what brings messages is not deaf
        turn = self._turn = Turn(self._turn)
        try:
            await insist_in_turn(partial(self._store, event, turn), turn, bot, limits.store_again)
        finally:
            turn.end()

    async def _store(self, event: Stored, turn: Turn) -> None:
        bot = self._standing.bot
        if isinstance(event, Receipt):
            await intake.receipt(self._means.database, bot, event, turn)
            return
        if isinstance(event, HistoryOffered):
            await intake.history(self._means.database, bot, event, turn)
            return
        if isinstance(event, Withheld):
            await intake.withheld(self._means.database, bot, event.message, turn, self._means.sender.merges)
            return
        sender = self._means.sender
        sender.heard(bot, event.message)
        stored = await intake.received(self._means.database, bot, event.message, turn, sender.merges)
        if stored is not None:
            sender.wrote(bot, stored)

    async def _take_in(self, event: TransportEvent) -> None:
        bot, standing = self._standing.bot, self._standing
        match event:
            case QrCode():
                await self._show_qr(event)
            case Paired():
                status = Status(BotState.STARTING, "paired, connecting")
                await standing.report(status, self._epoch, partial(changes.known, event.identity), strict=True)
            case Connected():
                self.online = True
                if self._online_at is None:
                    self._online_at = asyncio.get_running_loop().time()
                self._means.breaker.left(bot)
                self._liveness.online(at_once=standing.unhealthy)
                status = Status(BotState.CONNECTED)
                await standing.report(status, self._epoch, partial(changes.known, event.identity), strict=True)
            case Disconnected():
                self.online = False
                self._liveness.offline()
                was_online = self._online_at is not None
                status = statuses.mended_by_transport(event.reason, event.condition.value, was_online=was_online)
                await standing.report(status, self._epoch, strict=True)
            case Troubled():
                status = Status(BotState.CONNECTED, event.reason, event.action, code=event.condition.value)
                await standing.report(status, self._epoch, strict=True)

    async def _show_qr(self, code: QrCode) -> None:
        def told(transaction: Transaction) -> None:
            if lost:
                self._means.sender.abandon(transaction, self._standing.bot)
            journal.append(transaction, EventType.BOT_QR, self._standing.bot, codec.qr_json(code))

        # A linked bot that pairs has lost its auth state, or a crash came between that and the news of it.
        lost = self._standing.linked
        action = "scan the QR code with WhatsApp on the phone: Linked devices, Link a device"
        status = Status(BotState.PAIRING, "waits for a phone", action)
        if lost:
            reason = "its auth state is gone, so it has to be paired again; waits for a phone"
            status = Status(BotState.PAIRING, reason, action, code=Condition.AUTH_DAMAGED.value)
        await self._standing.report(status, self._epoch, changes.unknown, also=told, code=code, strict=True)


async def _until(moment: datetime) -> None:
    while (left := (moment - times.now()).total_seconds()) > 0:  # noqa: ASYNC110 - waits for the wall clock
        await asyncio.sleep(min(left, _CLOCK_STEP))
