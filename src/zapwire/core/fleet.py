"""All bots: makes and removes them, starts those that are wanted when the daemon starts, and passes orders on."""

from __future__ import annotations

import asyncio
import builtins
import logging
import random
import re
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from zapwire.core import codec, intake
from zapwire.core.bot import Bot
from zapwire.core.breaker import Breaker
from zapwire.core.keep import KEEP, Keep
from zapwire.core.limits import Limits
from zapwire.core.means import Means
from zapwire.core.proxies import Proxies
from zapwire.core.sender import Sender
from zapwire.errors import AuthStateFound, Condition, Conflict, InvalidInput, NotFound, StoreError
from zapwire.events import EventType
from zapwire.jid import parse_country, parse_phone
from zapwire.model import BotId, BotState, BotView, MessageId, MessageState, PairingCode, QrCode
from zapwire.store import bots, figures, history, journal, outbox, times
from zapwire.store.bots import BotRow, Halt, Wanted
from zapwire.store.db import Database, Transaction
from zapwire.store.history import Entry
from zapwire.tasks import Tasks
from zapwire.transport.base import TransportFactory

log = logging.getLogger(__name__)
T = TypeVar("T")

_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_NAME_LONGEST = 100
_DRAIN = 5.0
"""Seconds that messages under way get when the daemon stops."""
_PURGED = 10.0
"""Seconds that a deletion waits until all that belonged to the bot is gone; it goes on by itself after that."""
HALF = Halt(
    BotState.BLOCKED,
    "its import is not finished",
    "delete the bot and import the bundle again",
    times.from_ms(0),
    Condition.IMPORTING.value,
)
"""Of a bot whose auth state is not there yet; seen after a crash only."""
_CRASHED = "zapwire stopped while it was being sent: it may have been sent or not"


class AuthState(StrEnum):
    """What becomes of auth state that a new bot finds under its id."""

    ADOPT = "adopt"
    """The bot goes on as the account that it is linked to."""
    DESTROY = "destroy"


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
        self._steps, self._running = Tasks(), Tasks()
        self._making: set[BotId] = set()
        """Ids of bots that are being made."""

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
        await self._steps.cancel()
        await self._running.cancel()
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
        default_country: str | None = None,
        auth_state: AuthState | None = None,
    ) -> BotView:
        """Make a bot, and start it with *autostart*. Without an id it gets one, without a name its id is the name.

        Raises `InvalidInput` (id, name, proxy, default_country), `NotSupported` (proxy), `Conflict` when the id is
        taken, and `AuthStateFound` when something is kept under that id unless *auth_state* says what becomes of it.
        """
        slug = _slug(bot)
        name = _name(slug if name is None else name)
        country = parse_country(default_country)
        way = await self._proxies.accept(proxy, check=proxy_check)
        row = BotRow(slug, name, autostart, times.now(), proxy=None if isinstance(way, Keep) else way)
        row = replace(row, default_country=country)
        return await self.complete(self._create(row, auth_state), f"create-{slug}")

    async def _create(self, row: BotRow, auth_state: AuthState | None) -> BotView:
        with self._taken(row.id):
            if auth_state is AuthState.DESTROY:
                await self._transports.forget(row.id)
            elif auth_state is None and await self._transports.keeps(row.id):
                raise AuthStateFound(
                    "the auth state of a bot with this id is there already, which this database does not know: say "
                    '"auth_state": "adopt" to go on as the account it is linked to, or "destroy" to delete it',
                    field="auth_state",
                )

            def work(transaction: Transaction) -> bool:
                return bots.insert(transaction, row)

            return (await self._make(row, work)).view

    async def admit(self, row: BotRow, place: Callable[[], Awaitable[None]], *, start: bool) -> BotView:
        """Make a bot of a whole row once *place* has put its auth state there; with *start* it connects.

        Raises `InvalidInput` (id), `Conflict` when the id is taken, and what *place* raises; then there is no bot.
        """
        wanted = Wanted.CONNECTED if start else Wanted.STOPPED
        row = replace(row, id=_slug(row.id), name=_name(row.name), wanted=wanted, halt=None, unlinking=None)
        half = replace(row, wanted=Wanted.STOPPED, halt=HALF)

        def reserve(transaction: Transaction) -> bool:
            new = bots.insert(transaction, half)
            if new:
                bots.update(transaction, half)
            return new

        def admit(transaction: Transaction) -> bool:
            bots.update(transaction, row)
            return True

        with self._taken(row.id):
            # Known to the database first: auth state that nobody knows would be found by the next bot of that name.
            if not await self._database.write(reserve):
                raise _id_taken()
            placed = False
            try:
                await place()
                placed = True
                return (await self._make(row, admit)).view
            except BaseException:
                await self._unmake(half, placed=placed)
                raise

    async def _make(self, row: BotRow, work: Callable[[Transaction], bool]) -> Bot:
        """Let *work* store a bot, False when its id is taken, and start it: both or neither."""
        bot = Bot(row, self._means)
        await self._sender.attach(row.id, bot.transport, bot.radar)  # may fail, so before anything is stored

        def store(transaction: Transaction) -> bool:
            if not work(transaction):
                return False
            journal.append(transaction, EventType.BOT_CREATED, row.id, codec.bot_json(bot.view))
            return True

        try:
            if not await self._database.write(store):
                raise _id_taken()
        except BaseException:
            await self._sender.detach(row.id)
            raise
        self._start(bot)
        return bot

    async def _unmake(self, half: BotRow, *, placed: bool) -> None:
        """Take back a bot that did not come about, with its auth state if that was *placed*.

        What else may be kept in its name is not touched.
        """
        try:
            if placed:
                await self._transports.forget(half.id)
            await self._database.write(lambda transaction: bots.delete(transaction, half.id))
            await self._purged(half.id)
        except Exception:  # so it is there, and a person can delete it
            log.exception("bot %s: its failed import could not be taken back", half.id)
            self._start(Bot(half, self._means))

    @contextmanager
    def _taken(self, bot: BotId) -> Iterator[None]:
        """Nobody else makes a bot of that id meanwhile. Raises `Conflict` when there is one."""
        if bot in self._bots or bot in self._making:
            raise _id_taken()
        self._making.add(bot)
        try:
            yield
        finally:
            self._making.discard(bot)

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
        default_country: str | Keep | None = KEEP,
    ) -> BotView:
        """Change what is given; with *proxy_check* a new proxy has to lead to WhatsApp.

        Raises `NotFound`, `InvalidInput` (name, proxy, default_country), `NotSupported` (proxy), `TooMany`.
        """
        found = self.find(bot)
        name = None if name is None else _name(name)
        country = KEEP if isinstance(default_country, Keep) else parse_country(default_country)
        way = await self._proxies.accept(proxy, check=proxy_check)
        return await found.change(name=name, autostart=autostart, proxy=way, country=country)

    async def delete(self, bot: str, *, force: bool = False) -> None:
        """Unlink the device, destroy the auth state, and forget the bot with all its messages.

        Raises `NotFound`, and `NotUnlinked` when WhatsApp cannot be told now, unless *force*; then the bot stays.
        """
        await self.complete(self._remove(self.find(bot), force=force), f"delete-{bot}")
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

    async def logout(self, bot: str, *, force: bool = False) -> BotView:
        """Unlink the device, with *force* also when WhatsApp cannot be told; returns at once. Raises `NotFound`."""
        return await self.find(bot).logout(force=force)

    async def qr(self, bot: str, wait: float = 0.0) -> QrCode:
        """A QR code that can be scanned now; waits for it up to *wait* seconds. Raises `NotFound`, `Conflict`."""
        return await self.find(bot).qr(wait)

    async def refresh_qr(self, bot: str) -> BotView:
        """A new set of codes; returns at once. Raises `NotFound`, `Conflict` when linked, `TooMany`."""
        return await self.find(bot).restart(pairing=True)

    async def pairing_code(self, bot: str, phone: str) -> PairingCode:
        """A code to type on the phone. Raises `NotFound`, `InvalidInput` (phone), `Conflict`, `Refused`, `TooMany`."""
        found = self.find(bot)
        return await found.pairing_code(parse_phone(phone, country=self._sender.country_of(bot)))

    def find(self, bot: str) -> Bot:
        """The bot itself, for the rest of the core. Raises `NotFound`."""
        found = self._bots.get(BotId(bot))
        if found is None:
            raise NotFound("no such bot", field="bot")
        return found

    async def _add(self, row: BotRow) -> Bot:
        bot = Bot(row, self._means)
        await self._sender.attach(row.id, bot.transport, bot.radar)
        self._start(bot)
        return bot

    def _start(self, bot: Bot) -> None:
        slug = bot.standing.bot
        self._bots[slug] = bot
        self._supervisors[slug] = self._running.spawn(bot.run(), f"supervisor-{slug}")

    async def complete(self, step: Coroutine[Any, Any, T], name: str) -> T:
        """Run *step* to its end even when the caller is cancelled, so that no bot is half there."""
        return await self._steps.shielded(step, name)

    async def _remove(self, found: Bot, *, force: bool) -> None:
        bot = found.standing.bot
        await found.leave(partial(self._erase, found), force=force)
        await asyncio.wait([self._supervisors[bot]])
        del self._bots[bot], self._supervisors[bot]
        await self._sender.detach(bot)

    async def _erase(self, found: Bot) -> None:
        """Destroy what is kept for a bot that is unlinked, then the bot itself."""
        bot, name = found.standing.bot, found.standing.row.name

        def work(transaction: Transaction) -> int:
            bots.delete(transaction, bot)
            return journal.append(transaction, EventType.BOT_DELETED, bot, {"id": bot, "name": name}).seq

        await self._transports.forget(bot)
        self._database.tail.forget(bot, await self._database.write(work))


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


def _id_taken() -> Conflict:
    return Conflict("there is a bot with this id already", field="id")


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
