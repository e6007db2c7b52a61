"""One bot's connection, kept for as long as one order stands, and what it tells.

It speaks with the epoch it was started in: after a newer order its status reports count for nothing, so a connection
that is still closing cannot overwrite "stopped". Messages it brings are stored all the same.
"""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import suppress
from dataclasses import replace
from functools import partial

from zapwire.core import codec, intake, statuses
from zapwire.core.insisting import insist
from zapwire.core.limits import Limits
from zapwire.core.sender import Sender
from zapwire.core.standing import Also, Change, Standing, same
from zapwire.core.statuses import Status
from zapwire.errors import LoggedOut, NeedsPerson, TransportError
from zapwire.events import EventType
from zapwire.model import BotId, BotState, Identity, QrCode
from zapwire.store import journal, times
from zapwire.store.bots import BotRow, Halt
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

_NEVER = -1
"""The epoch of a connection whose status nobody asked for: it only brings messages."""


class Connection:
    """Runs the transport again and again until it needs a person; made anew for each order."""

    def __init__(
        self,
        standing: Standing,
        transport: Transport,
        transports: TransportFactory,
        database: Database,
        sender: Sender,
        *,
        limits: Limits,
        chance: random.Random,
        heeded: bool = True,
    ) -> None:
        self._standing = standing
        self._epoch = standing.epoch if heeded else _NEVER
        self._transport = transport
        self._transports = transports
        self._database = database
        self._sender = sender
        self._limits = limits
        self._chance = chance
        self._online_at: float | None = None
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """Between two attempts: try now."""
        self._hurry.set()

    async def run(self) -> None:
        """Keep the bot connected; returns when only a person can go on."""
        failures = 0
        while True:
            self._online_at = None
            try:
                await self._transport.run(self.emit)
                error = TransportError("the connection ended")
            except NeedsPerson as halt:
                await self._halt(halt)
                return
            except TransportError as failed:
                error = failed
            except Exception:
                log.exception("bot %s: the transport failed in a way nobody expected", self._standing.bot)
                error = TransportError("internal error, see the log")
            if (task := asyncio.current_task()) is not None and task.cancelling():
                return  # a transport that fails while it is being stopped has stopped
            failures = 1 if self._was_good() else failures + 1
            delay = statuses.backoff(failures, self._limits, self._chance)
            self._hurry.clear()
            await self._standing.report(statuses.retrying(error, delay), self._epoch)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._hurry.wait()

    def _was_good(self) -> bool:
        online_at = self._online_at
        return online_at is not None and asyncio.get_running_loop().time() - online_at >= self._limits.good_connection

    async def _halt(self, error: NeedsPerson) -> None:
        status, standing = statuses.halted(error), self._standing
        change: Change = same
        also: Also | None = None
        if isinstance(error, LoggedOut):
            await forget(self._transports, standing.bot)
            change, also = unlinked(status), partial(self._sender.abandon, bot=standing.bot)
        # Nothing else will correct the state: there is no connection any more.
        report = partial(standing.report, status, self._epoch, change, also=also, strict=True)
        await insist(report, standing.bot, self._limits.store_again)

    async def emit(self, event: TransportEvent) -> None:
        """Take in what the transport tells; returns once it is stored.

        WhatsApp does not say it twice, so a failing database is tried again, for a while: every step can be repeated.
        """
        take_in, limits = partial(self._take_in, event), self._limits
        await insist(take_in, self._standing.bot, limits.store_again, limits.store_patience)

    async def _take_in(self, event: TransportEvent) -> None:
        bot, standing = self._standing.bot, self._standing
        match event:
            case Received():
                self._sender.heard(bot, event.message)
                await intake.received(self._database, bot, event.message)
            case Receipt():
                await intake.receipt(self._database, bot, event)
            case QrCode():
                await self._show_qr(event)
            case Paired():
                status = Status(BotState.STARTING, "paired, connecting")
                await standing.report(status, self._epoch, partial(_known, event.identity), strict=True)
            case Connected():
                if self._online_at is None:
                    self._online_at = asyncio.get_running_loop().time()
                status = Status(BotState.CONNECTED)
                await standing.report(status, self._epoch, partial(_known, event.identity), strict=True)
            case Disconnected():
                await standing.report(Status(BotState.RECONNECTING, event.reason), self._epoch, strict=True)

    async def _show_qr(self, code: QrCode) -> None:
        def told(transaction: Transaction) -> None:
            if lost:
                self._sender.abandon(transaction, self._standing.bot)
            journal.append(transaction, EventType.BOT_QR, self._standing.bot, codec.qr_json(code))

        # A linked bot that pairs has lost its auth state, or a crash came between that and the news of it.
        lost = self._standing.linked
        action = "scan the QR code with WhatsApp on the phone: Linked devices, Link a device"
        status = Status(BotState.PAIRING, "waits for a phone", action)
        await self._standing.report(status, self._epoch, _unknown, also=told, code=code, strict=True)


async def forget(transports: TransportFactory, bot: BotId) -> None:
    """Destroy worthless auth state, or the next connect would try to use it."""
    try:
        await transports.forget(bot)
    except Exception:
        log.exception("bot %s: its auth state could not be removed", bot)


def unlinked(status: Status) -> Change:
    """The change of a row when its device was removed from the account."""
    halt = Halt(status.state, status.reason or "", status.action or "", times.now())
    return lambda row: replace(row, identity=Identity(), halt=halt, unlinking=False)


def _unknown(row: BotRow) -> BotRow:
    """*row* without an account."""
    return replace(row, identity=Identity())


def _known(news: Identity, row: BotRow) -> BotRow:
    """*row* with what *news* tells of its account, which may be only a part."""
    old = row.identity
    identity = Identity(news.phone or old.phone, news.lid or old.lid, news.push_name or old.push_name)
    return replace(row, identity=identity, halt=None)
