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

from zapwire.core.bots import status as statuses
from zapwire.core.bots import transitions
from zapwire.core.bots.context import BotContext
from zapwire.core.bots.health_check import HealthCheck
from zapwire.core.bots.state import Also, Change, CurrentState, same
from zapwire.core.bots.status import Status
from zapwire.core.events import serializers
from zapwire.core.messages import inbox
from zapwire.core.store_retry import retry_until_stored
from zapwire.model import timestamps
from zapwire.model.bots import BotState
from zapwire.model.errors import (
    Blocked,
    Condition,
    Interrupted,
    LoggedOut,
    NeedsPerson,
    StoreError,
    TransportError,
)
from zapwire.model.events import EventType
from zapwire.model.ignoring import is_ignored
from zapwire.model.messages import Message, Undecryptable
from zapwire.model.pairing import PairingStage, PairingStep, QrCode
from zapwire.runtime.tasks import spawn
from zapwire.store.ordered_writes import OrderedWrites
from zapwire.store.ports import Transactions, UnitOfWork
from zapwire.transport.protocol import (
    Connected,
    Disconnected,
    HistoryOffered,
    Paired,
    PairingProgress,
    Receipt,
    Received,
    SendFailed,
    Stored,
    TimeLocked,
    Transport,
    TransportEvent,
    Troubled,
    Withheld,
)

log = logging.getLogger(__name__)

_CLOCK_STEP = 60.0
"""How often a long wait looks at the clock, which may be set."""

_LASTING = frozenset(
    {
        Condition.BANNED,
        Condition.REPLACED,
        Condition.LOCKED,
        Condition.REFUSED,
        Condition.SILENT,
        Condition.LOGGED_OUT,
        Condition.CODES_DIFFER,
    }
)
"""What a restart of the daemon does not change, so that it is no reason to try again. An outdated client may have been
updated meanwhile, a damaged database restored, and a pairing costs nothing."""

_NEVER = -1
"""The epoch of a connection whose status nobody asked for: it only brings messages."""


class Connection:
    """Runs the transport again and again until it needs a person; a new one for each order."""

    def __init__(
        self,
        current: CurrentState,
        transport: Transport,
        context: BotContext,
        store: Transactions,
        *,
        heeded: bool = True,
    ) -> None:
        self._current = current
        self._epoch = current.epoch if heeded else _NEVER
        self._transport = transport
        self._context = context
        self._online_at: float | None = None
        self.online = False
        """It stands now."""
        self._hurry = asyncio.Event()
        self._writes = OrderedWrites(store, f"bot {current.bot}", context.limits.store_again)
        """Of messages and receipts."""
        self._health_check = HealthCheck(current.bot, transport, context.limits, context.chance, self._probed)
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
                    log.exception("bot %s: the transport failed unexpectedly", self._current.bot)
                    error = TransportError("internal error, see the log", condition=Condition.INTERNAL)
                if (task := asyncio.current_task()) is not None and task.cancelling():
                    return  # a transport that fails while it is being stopped has stopped
                await self._pause(error)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        current = self._current
        current.health = lambda: self._health_check.health
        try:
            yield
        finally:
            current.health = lambda: None
            self._context.circuit_breaker.left(current.bot)

    async def _connect(self) -> None:
        """Run the transport, and ask meanwhile whether it hears. Raises what ends it; too much silence is `Blocked`."""
        ways = [
            spawn(self._transport.run(self.emit), f"transport-{self._current.bot}", awaited=True),
            spawn(self._health_check.run(), f"liveness-{self._current.bot}", awaited=True),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if not ways[0].done():
                ways[1].result()
            ways[0].result()
        except TransportError as error:
            if error.condition is Condition.SILENT and self._online_at is not None:
                self._silent += 1
            if self._silent >= self._context.limits.silent_rounds:
                self._silent = 0
                raise self._deaf() from None
            raise
        finally:
            self.online = False
            self._health_check.offline()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    def _deaf(self) -> Blocked:
        rest, rounds = self._context.limits.silent_rest, self._context.limits.silent_rounds
        return Blocked(
            f"WhatsApp takes the login and then answers nothing, {rounds} times in a row",
            action="Look at WhatsApp on the phone; if it works there, log the bot out and pair it again. "
            "The bot retries by itself, too.",
            condition=Condition.SILENT,
            until=timestamps.now() + timedelta(seconds=rest),
        )

    async def _pause(self, error: TransportError) -> None:
        """Between two attempts: for as long as the backoff says, or until another bot has found WhatsApp again."""
        interrupted = isinstance(error, Interrupted)  # no failure
        if not interrupted:
            self._failures = 1 if self._was_good() else self._failures + 1
        limits, chance = self._context.limits, self._context.chance
        elsewhere = self._context.circuit_breaker.failed(self._current.bot, error, self._current.row.proxy)
        at_once = error.condition is Condition.SILENT and self._silent == 1 and self._online_at is not None
        delay = 0.0 if at_once or interrupted else statuses.backoff(self._failures, limits, chance)
        status = statuses.retrying(error, delay)
        if elsewhere is not None:
            delay = limits.backoff_most * chance.uniform(1, 1 + limits.jitter)
            status = statuses.spoken_for(error, delay)
        self._hurry.clear()
        await self._current.report(status, self._epoch)
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
        current = self._current
        halt = current.row.halt
        if halt is None or halt.until is None:
            return
        await _until(halt.until)
        change: Change = lambda row: replace(row, halt=None)  # noqa: E731 - one line, one meaning
        await current.report(Status(BotState.STARTING), self._epoch, change)

    async def _probed(self, failures: int) -> None:
        """Tell what a probe found out, when that is news."""
        current, limits = self._current, self._context.limits
        if failures == 0:
            self._silent = 0
            if current.unhealthy:
                current.unhealthy = False
                await current.report(Status(BotState.CONNECTED), self._epoch, event=EventType.BOT_HEALTHY)
        elif failures >= limits.unhealthy_after:
            event = None if current.unhealthy else EventType.BOT_UNHEALTHY
            current.unhealthy = True
            await current.report(statuses.unanswered(failures), self._epoch, event=event)

    def _was_good(self) -> bool:
        if self._online_at is None:
            return False
        return asyncio.get_running_loop().time() - self._online_at >= self._context.limits.good_connection

    async def _halt(self, error: NeedsPerson) -> bool:
        """Note why only a person can go on. True when the time has come to try again all the same."""
        status, current = statuses.halted(error), self._current
        self._context.circuit_breaker.left(current.bot)
        change: Change = partial(transitions.halted, status) if error.condition in _LASTING else same
        also: Also | None = None
        if isinstance(error, LoggedOut):
            await transitions.forget(self._context.transports.auth_state(current.row.transport), current.bot)
            change, also = transitions.unlinked(status), partial(self._context.outbox.abandon, bot=current.bot)
        # Nothing else will correct the state: there is no connection any more.
        report = partial(current.report, status, self._epoch, change, also=also, strict=True)
        await retry_until_stored(report, current.bot, self._context.limits.store_again)
        if error.until is None:
            return False
        await self._sit_out()
        return True

    async def emit(self, event: TransportEvent) -> None:
        """Take in what the transport tells; returns once it is stored.

        WhatsApp does not say it twice, so a failing database is retried: every step can be repeated. News of the
        connection only for a while; messages and receipts for as long as it takes, in the order in which they came.
        """
        limits, bot = self._context.limits, self._current.bot
        if not isinstance(event, Stored):
            await retry_until_stored(partial(self._take_in, event), bot, limits.store_again, limits.store_patience)
            return
        self._silent = 0  # what brings messages is not deaf
        match event:
            case Receipt():
                await inbox.receipt(self._writes, bot, event, self._context.outbox.merges)
            case SendFailed():
                await inbox.send_failed(self._writes, bot, event)
            case HistoryOffered():
                await inbox.history(self._writes, bot, event)
            case Withheld():
                if self._ignores(event.message):
                    return
                await inbox.withheld(self._writes, bot, event.message, self._context.outbox.merges)
            case Received():
                await self._received(event.message)

    async def _received(self, message: Message) -> None:
        bot, outbox = self._current.bot, self._context.outbox
        outbox.heard(bot, message)  # the engine is busy with it all the same
        if self._ignores(message):
            return
        stored = await inbox.received(self._writes, bot, message, outbox.merges)
        if stored is not None:
            outbox.wrote(bot, stored)

    def _ignores(self, message: Message | Undecryptable) -> bool:
        rules = self._current.row.ignore
        return is_ignored(self._context.limits.ignore if rules is None else rules, message)

    async def _take_in(self, event: TransportEvent) -> None:
        bot, current = self._current.bot, self._current
        match event:
            case QrCode():
                await self._show_qr(event)
            case PairingProgress():
                await self._progress(event)
            case Paired():
                status = Status(BotState.STARTING, "paired, connecting")
                linked = partial(self._context.outbox.linked, bot=bot)
                change = partial(transitions.known, event.identity)
                await current.report(status, self._epoch, change, also=linked, strict=True)
            case Connected():
                self.online = True
                if self._online_at is None:
                    self._online_at = asyncio.get_running_loop().time()
                self._context.circuit_breaker.left(bot)
                self._health_check.online(at_once=current.unhealthy)
                status = Status(BotState.CONNECTED)
                await current.report(status, self._epoch, partial(transitions.known, event.identity), strict=True)
            case Disconnected():
                self.online = False
                self._health_check.offline()
                was_online = self._online_at is not None
                status = statuses.mended_by_transport(event.reason, event.condition.value, was_online=was_online)
                await current.report(status, self._epoch, strict=True)
            case TimeLocked():
                self._context.outbox.time_locked(bot, event.until)
            case Troubled():
                status = Status(BotState.CONNECTED, event.reason, event.action, code=event.condition.value)
                await current.report(status, self._epoch, strict=True)

    async def _show_qr(self, code: QrCode) -> None:
        def told(transaction: UnitOfWork) -> None:
            if lost:
                self._context.outbox.abandon(transaction, self._current.bot)
            transaction.journal.append(EventType.BOT_QR, self._current.bot, serializers.qr_json(code))

        # A linked bot that pairs has lost its auth state, or a crash came between that and the news of it.
        lost = self._current.linked
        status = statuses.scanning(self._current.status, code.expires_at, lost=lost)
        await self._current.report(status, self._epoch, transitions.unknown, also=told, code=code, strict=True)

    async def _progress(self, event: PairingProgress) -> None:
        stage = PairingStage(event.step, event.expires_at)

        def told(transaction: UnitOfWork) -> None:
            transaction.journal.append(EventType.BOT_PASSKEY, self._current.bot, serializers.stage_json(stage))

        status = Status(BotState.PAIRING, event.reason, event.action, pairing=stage)
        also = None if event.step is PairingStep.SCAN else told
        await self._current.report(status, self._epoch, also=also, strict=True)


async def _until(moment: datetime) -> None:
    while (left := (moment - timestamps.now()).total_seconds()) > 0:  # noqa: ASYNC110 - waits for the wall clock
        await asyncio.sleep(min(left, _CLOCK_STEP))
