"""All bots: makes and removes them, starts those that are wanted when the daemon starts, and passes orders on."""

from __future__ import annotations

import asyncio
import builtins
import logging
import random
import re
import secrets
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from zapwire.core import intake
from zapwire.core.bot import Bot
from zapwire.core.breaker import Breaker
from zapwire.core.keep import KEEP, Keep
from zapwire.core.limits import Limits
from zapwire.core.means import Means
from zapwire.core.proxies import Proxies
from zapwire.core.sender import Sender
from zapwire.core.supervisor import log_failure
from zapwire.errors import Conflict, InvalidInput, NotFound, StoreError
from zapwire.jid import parse_phone
from zapwire.model import BotId, BotView, MessageId, MessageState, PairingCode, QrCode
from zapwire.store import bots, figures, history, outbox, times
from zapwire.store.bots import BotRow
from zapwire.store.db import Database, Transaction
from zapwire.store.history import Entry
from zapwire.transport.base import TransportFactory

log = logging.getLogger(__name__)
T = TypeVar("T")

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME_LONGEST = 100
_DRAIN = 5.0
"""Seconds that messages under way get when the daemon stops."""
_PURGED = 10.0
"""Seconds that a deletion waits until all that belonged to the bot is gone; it goes on by itself after that."""
_CRASHED = "zapwire stopped while it was being sent: it may have been sent or not"


class Fleet:
    """The bots; an async context manager. Every *bot* argument may be any text: what is no bot is `NotFound`."""

    def __init__(
        self,
        database: Database,
        transports: TransportFactory,
        sender: Sender,
        limits: Limits | None = None,
        chance: random.Random | None = None,
        *,
        proxies: Proxies,
    ) -> None:
        self._database = database
        self._transports = transports
        self._proxies = proxies
        self._sender = sender
        limits = limits or Limits()
        chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._means = Means(transports, database, sender, Breaker(limits), limits, chance)
        self._bots: dict[BotId, Bot] = {}
        self._supervisors: dict[BotId, asyncio.Task[None]] = {}
        self._steps: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        rows = await self._database.read(bots.all_bots)
        unreadable = await self._database.read(outbox.unreadable)
        await self._database.write(lambda transaction: _settle(transaction, rows, unreadable))
        waiting = (await self._database.read(figures.backlog)).outbox
        for row in sorted(rows, key=lambda row: row.id not in waiting):  # those first for which messages wait
            await self._add(row)
        self._bots = {row.id: self._bots[row.id] for row in rows}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._sender.drain(_DRAIN)
        supervisors = [*self._supervisors.values(), *self._steps]
        for supervisor in supervisors:
            supervisor.cancel()
        await asyncio.gather(*supervisors, return_exceptions=True)
        for bot in self._bots.values():
            await bot.standing.settled()
        await self._sender.close()

    async def create(
        self,
        bot: str | None = None,
        name: str | None = None,
        *,
        autostart: bool = True,
        proxy: str | None = None,
        proxy_check: bool = True,
    ) -> BotView:
        """Make a bot, and start it with *autostart*. Without an id it gets one, without a name its id is the name.

        Raises `InvalidInput` (id, name, proxy), `NotSupported` (proxy), and `Conflict` when the id is taken.
        """
        slug = _slug(bot)
        name = _name(slug if name is None else name)
        way = await self._proxies.accept(proxy, check=proxy_check)
        row = BotRow(slug, name, autostart, times.now(), proxy=None if isinstance(way, Keep) else way)
        return await self.complete(self._create(row))

    async def _create(self, row: BotRow) -> BotView:
        if not await self._database.write(lambda transaction: bots.insert(transaction, row)):
            raise Conflict("there is a bot with this id already", field="id")
        return (await self._add(row)).view

    async def admit(self, row: BotRow) -> Bot:
        """Make a bot of a whole row. Raises `InvalidInput` (id) and `Conflict` when the id is taken."""
        row = replace(row, id=_slug(row.id), name=_name(row.name))

        def work(transaction: Transaction) -> bool:
            if not bots.insert(transaction, row):
                return False
            bots.update(transaction, row)
            return True

        if not await self._database.write(work):
            raise Conflict("there is a bot with this id already", field="id")
        return await self._add(row)

    def has(self, bot: str) -> bool:
        """Is there a bot of that id?"""
        return BotId(bot) in self._bots

    def all(self) -> builtins.list[Bot]:
        """The bots themselves, for the rest of the core."""
        return [*self._bots.values()]

    async def list(self) -> list[BotView]:
        """All bots, oldest first."""
        return [bot.view for bot in self._bots.values()]

    async def get(self, bot: str) -> BotView:
        """One bot. Raises `NotFound`."""
        return self.find(bot).view

    async def history(self, bot: str, *, before: int | None = None, limit: int = 100) -> builtins.list[Entry]:
        """What it was doing, newest first. Raises `NotFound`."""
        self.find(bot)
        return await self._database.read(lambda sql: history.page(sql, bot, before, limit))

    async def update(
        self,
        bot: str,
        *,
        name: str | None = None,
        autostart: bool | None = None,
        proxy: str | Keep | None = KEEP,
        proxy_check: bool = True,
    ) -> BotView:
        """Change what is given; with *proxy_check* a new proxy has to lead to WhatsApp.

        Raises `NotFound`, `InvalidInput` (name, proxy), `NotSupported` (proxy), `TooMany`.
        """
        found = self.find(bot)
        name = None if name is None else _name(name)
        way = await self._proxies.accept(proxy, check=proxy_check)
        return await found.change(name=name, autostart=autostart, proxy=way)

    async def delete(self, bot: str) -> None:
        """Unlink the device, destroy the auth state, and forget the bot with all its messages. Raises `NotFound`."""
        await self.complete(self._remove(self.find(bot)))
        await self._purged(BotId(bot))

    async def _purged(self, bot: BotId) -> None:
        """Wait until a deleted bot's id is free, but not for ever: of a bot with many messages that takes a while."""
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(_PURGED):
                await self._database.purged(bot)

    async def connect(self, bot: str) -> BotView:
        """Want it connected; returns at once. Raises `NotFound`, `TooMany`."""
        return await self.find(bot).connect()

    async def disconnect(self, bot: str) -> BotView:
        """Want it disconnected; returns at once. Raises `NotFound`."""
        return await self.find(bot).disconnect()

    async def restart(self, bot: str) -> BotView:
        """Connect anew; returns at once. Raises `NotFound`, `TooMany`."""
        return await self.find(bot).restart()

    async def logout(self, bot: str) -> BotView:
        """Unlink the device; returns at once. Raises `NotFound`."""
        return await self.find(bot).logout()

    async def qr(self, bot: str, wait: float = 0.0) -> QrCode:
        """A QR code that can be scanned now; waits for it up to *wait* seconds. Raises `NotFound`, `Conflict`."""
        return await self.find(bot).qr(wait)

    async def refresh_qr(self, bot: str) -> BotView:
        """A new set of codes; returns at once. Raises `NotFound`, `Conflict` when linked, `TooMany`."""
        return await self.find(bot).restart(pairing=True)

    async def pairing_code(self, bot: str, phone: str) -> PairingCode:
        """A code to type on the phone. Raises `NotFound`, `InvalidInput` (phone), `Conflict`, `Refused`, `TooMany`."""
        found = self.find(bot)
        return await found.pairing_code(parse_phone(phone))

    def find(self, bot: str) -> Bot:
        """The bot itself, for the rest of the core. Raises `NotFound`."""
        found = self._bots.get(BotId(bot))
        if found is None:
            raise NotFound("no such bot", field="bot")
        return found

    async def _add(self, row: BotRow) -> Bot:
        bot = Bot(row, self._means)
        await self._sender.attach(row.id, bot.transport, bot.radar)
        self._bots[row.id] = bot
        supervisor = asyncio.create_task(bot.run(), name=f"supervisor-{row.id}")
        supervisor.add_done_callback(log_failure)
        self._supervisors[row.id] = supervisor
        return bot

    async def complete(self, step: Coroutine[Any, Any, T]) -> T:
        """Run *step* to its end even when the caller is cancelled, so that no bot is half there."""
        task = asyncio.create_task(step)
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        return await asyncio.shield(task)

    async def dismiss(self, found: Bot) -> None:
        """Forget a bot whose import failed; what may be kept in its name by the transport is not touched."""
        bot = found.standing.bot
        found.standing.leaving = True
        supervisor = self._supervisors[bot]
        supervisor.cancel()
        await asyncio.wait([supervisor])
        await self._sender.detach(bot)
        await self._database.write(lambda transaction: bots.delete(transaction, bot))
        self._database.tail.forget(bot)
        del self._bots[bot], self._supervisors[bot]
        await self._purged(bot)

    async def _remove(self, found: Bot) -> None:
        bot = found.standing.bot
        await found.leave()
        await asyncio.wait([self._supervisors[bot]])
        await self._sender.detach(bot)
        try:
            await self._transports.forget(bot)
            await self._database.write(lambda transaction: bots.delete(transaction, bot))
        except Exception:  # a new bot of that name must not come up as the old account, so it stays
            log.exception("bot %s: could not be deleted", bot)
            await self._add(found.standing.row)
            raise
        self._database.tail.forget(bot)
        del self._bots[bot], self._supervisors[bot]


def _settle(
    transaction: Transaction, rows: builtins.list[BotRow], unreadable: builtins.list[tuple[BotId, MessageId]]
) -> None:
    """After a crash: tell of each message that was being sent that nobody knows; and fail what cannot be read."""
    for row in rows:
        for message in outbox.interrupted(transaction, row.id, _CRASHED):
            intake.tell(transaction, row.id, message)
    for bot, message in unreadable:
        if outbox.finish(transaction, message, MessageState.FAILED, outbox.UNREADABLE):
            intake.tell(transaction, bot, message)


def _slug(bot: str | None) -> BotId:
    if bot is None:
        return BotId(f"bot-{secrets.token_hex(4)}")
    if _SLUG.fullmatch(bot) is None:
        raise InvalidInput("1 to 63 of a-z, 0-9 and -, not beginning with -", field="id")
    return BotId(bot)


def _name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > _NAME_LONGEST or not name.isprintable():
        raise InvalidInput(f"1 to {_NAME_LONGEST} printable characters", field="name")
    return name
