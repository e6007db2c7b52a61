"""All bots: makes and removes them, and starts those that are wanted when the daemon starts."""

from __future__ import annotations

import asyncio
import builtins
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

from zapwire.core.bots.bot import Bot
from zapwire.core.bots.circuit_breaker import CircuitBreaker
from zapwire.core.bots.context import BotContext
from zapwire.core.bots.identifiers import check_id, check_name
from zapwire.core.bots.proxies import Proxies
from zapwire.core.events import serializers
from zapwire.core.messages import inbox
from zapwire.core.messages.outbox import Outbox
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow, BotState, BotView, Halt, TransportKind, Wanted
from zapwire.model.errors import AuthStateFound, Condition, Conflict, NotFound, NotSupported, StoreError
from zapwire.model.events import EventType
from zapwire.model.ignoring import check_ignore
from zapwire.model.jid import parse_country
from zapwire.model.messages import DAMAGED_ROW, MessageId, MessageState
from zapwire.model.pairing import PairingOptions
from zapwire.model.unset import Keep
from zapwire.runtime.tasks import Tasks
from zapwire.store.ports import Store, UnitOfWork
from zapwire.transport.protocol import TakesPairingOptions
from zapwire.transport.registry import TransportRegistry

log = logging.getLogger(__name__)
T = TypeVar("T")

_DRAIN = 5.0
"""Seconds that messages under way get when the daemon stops."""
_PURGED = 10.0
"""Seconds that a deletion waits until all that belonged to the bot is gone; it goes on by itself after that."""
HALF = Halt(
    BotState.BLOCKED,
    "its import is not finished",
    "delete the bot and import the bundle again",
    timestamps.from_ms(0),
    Condition.IMPORTING.value,
)
"""Of a bot whose auth state is not there yet; seen after a crash only."""
_CRASHED = "zapwire stopped while sending this message: it may have been sent or not"


class AuthState(StrEnum):
    """What becomes of auth state that a new bot finds under its id."""

    ADOPT = "adopt"
    """The bot goes on as the account that it is linked to."""
    DESTROY = "destroy"


class BotRegistry:
    """The bots; an async context manager. Every *bot* argument may be any text: what is no bot is `NotFound`."""

    def __init__(
        self,
        database: Store,
        transports: TransportRegistry,
        outbox: Outbox,
        limits: Tuning | None = None,
        chance: random.Random | None = None,
        *,
        proxies: Proxies,
        pairing_options: PairingOptions | None = None,
    ) -> None:
        """*pairing_options* are for bots that have none of their own."""
        self._database = database
        self._transports = transports
        self._proxies = proxies
        self._outbox = outbox
        limits = limits or Tuning()
        chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        options = pairing_options or PairingOptions()
        self._context = BotContext(
            transports, proxies, database, outbox, CircuitBreaker(limits), limits, options, chance
        )
        self._bots: dict[BotId, Bot] = {}
        self._supervisors: dict[BotId, asyncio.Task[None]] = {}
        self._steps, self._running = Tasks(), Tasks()
        self._making: set[BotId] = set()
        """Ids of bots that are being made."""

    async def __aenter__(self) -> Self:
        rows = await self._database.read(lambda unit: unit.bots.all_bots())
        unreadable = await self._database.read(lambda unit: unit.outbox.unreadable())
        bots = [Bot(row, self._context) for row in rows]
        await self._database.write(lambda transaction: _settle(transaction, bots, unreadable))
        waiting = (await self._database.read(lambda unit: unit.backlog.backlog())).outbox
        self._bots = {bot.current.bot: bot for bot in bots}
        for bot in sorted(bots, key=lambda bot: bot.current.bot not in waiting):  # those first for which messages wait
            await self._outbox.attach(bot.current.bot, bot.transport, bot.restrictions, bot.store)
            self._start(bot)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._outbox.drain(_DRAIN)
        await self._steps.cancel()
        await self._running.cancel()
        for bot in self._bots.values():
            await bot.current.settled()
        await self._outbox.close()

    async def create(
        self,
        bot: str | None = None,
        name: str | None = None,
        *,
        autostart: bool = True,
        proxy: str | None = None,
        proxy_check: bool = True,
        default_country: str | None = None,
        pairing_options: PairingOptions | None = None,
        ignore: Sequence[str] | None = None,
        auth_state: AuthState | None = None,
        transport: TransportKind = TransportKind.WHATSAPP_WEB,
    ) -> BotView:
        """Make a bot, and start it with *autostart*. Without an id it gets one, without a name its id is the name.

        Raises `InvalidInput` (id, name, proxy, default_country, pairing_options, ignore), `NotSupported` (proxy,
        transport, pairing_options), `Conflict` when the id is taken, and `AuthStateFound` when something is kept under
        that id unless *auth_state* says what becomes of it.
        """
        slug = check_id(bot)
        name = check_name(slug if name is None else name)
        country = parse_country(default_country)
        self._transports.factory(transport)  # raises when there is none
        way = await self._proxies.accept(proxy, transport, check=proxy_check)
        row = BotRow(slug, name, autostart, timestamps.now(), proxy=None if isinstance(way, Keep) else way)
        row = replace(row, default_country=country, transport=transport)
        row = replace(row, ignore=None if ignore is None else check_ignore(ignore))
        if pairing_options is not None:
            row = replace(row, pairing_options=self._checked(row, pairing_options))
        return await self.complete(self._create(row, auth_state), f"create-{slug}")

    def _checked(self, row: BotRow, options: PairingOptions) -> PairingOptions:
        if not isinstance(self._transports.make(row), TakesPairingOptions):
            raise NotSupported("bots of this transport are not paired", field="pairing_options")
        return options.checked()

    async def _create(self, row: BotRow, auth_state: AuthState | None) -> BotView:
        with self._taken(row.id):
            kept = self._transports.auth_state(row.transport)
            if auth_state is AuthState.DESTROY:
                await kept.forget(row.id)
            elif auth_state is None and await kept.keeps(row.id):
                raise AuthStateFound(
                    "the auth state of a bot with this id is there already, which this database does not know: say "
                    '"auth_state": "adopt" to go on as the account it is linked to, or "destroy" to delete it',
                    field="auth_state",
                )

            def work(transaction: UnitOfWork) -> bool:
                return transaction.bots.insert(row)

            return (await self._make(row, work)).view

    async def admit(self, row: BotRow, place: Callable[[], Awaitable[None]], *, start: bool) -> BotView:
        """Make a bot of a whole row once *place* has put its auth state there; with *start* it connects.

        Raises `InvalidInput` (id), `Conflict` when the id is taken, and what *place* raises; then there is no bot.
        """
        wanted = Wanted.CONNECTED if start else Wanted.STOPPED
        row = replace(row, id=check_id(row.id), name=check_name(row.name), wanted=wanted, halt=None, unlinking=None)
        half = replace(row, wanted=Wanted.STOPPED, halt=HALF)

        def reserve(transaction: UnitOfWork) -> bool:
            new = transaction.bots.insert(half)
            if new:
                transaction.bots.update(half)
            return new

        def admit(transaction: UnitOfWork) -> bool:
            transaction.bots.update(row)
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

    async def _make(self, row: BotRow, work: Callable[[UnitOfWork], bool]) -> Bot:
        """Let *work* store a bot, False when its id is taken, and start it: both or neither."""
        bot = Bot(row, self._context)
        # It may fail, so it comes before the bot is stored.
        await self._outbox.attach(row.id, bot.transport, bot.restrictions, bot.store)

        def store(transaction: UnitOfWork) -> bool:
            if not work(transaction):
                return False
            bot.store.claim(transaction)
            transaction.journal.append(EventType.BOT_CREATED, row.id, serializers.bot_json(bot.view))
            return True

        try:
            if not await self._database.write(store):
                raise _id_taken()
        except BaseException:
            await self._outbox.detach(row.id)
            raise
        self._start(bot)
        return bot

    async def _unmake(self, half: BotRow, *, placed: bool) -> None:
        """Take back a bot that did not come about, with its auth state if that was *placed*.

        What else may be kept in its name is not touched.
        """
        try:
            if placed:
                await self._transports.auth_state(half.transport).forget(half.id)
            await self._database.write(lambda transaction: transaction.bots.delete(half.id))
            await self._purged(half.id)
        except Exception:  # so it is there, and a person can delete it
            log.exception("bot %s: its failed import could not be taken back", half.id)
            self._start(Bot(half, self._context))

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

    def any_at_passkey(self) -> bool:
        """Is a person linking any of them with a passkey just now?"""
        return any(bot.is_at_passkey for bot in self._bots.values())

    def outdated(self) -> int:
        """How many bots WhatsApp turned away because their version is too old."""
        return sum(bot.current.status.code == Condition.OUTDATED for bot in self._bots.values())

    async def count(self) -> int:
        """How many bots there are."""
        return len(self._bots)

    async def list(self) -> list[BotView]:
        """All bots, oldest first."""
        return [bot.view for bot in self._bots.values()]

    def get(self, bot: str) -> Bot:
        """One bot. Raises `NotFound`."""
        found = self._bots.get(BotId(bot))
        if found is None:
            raise NotFound("no such bot", field="bot")
        return found

    async def delete(self, bot: str, *, force: bool = False) -> None:
        """Unlink the device, destroy the auth state, and forget the bot with all its messages.

        Raises `NotFound`, and `NotUnlinked` when WhatsApp cannot be notified now, unless *force*; then the bot stays.
        """
        await self.complete(self._remove(self.get(bot), force=force), f"delete-{bot}")
        await self._purged(BotId(bot))

    async def _purged(self, bot: BotId) -> None:
        """Wait until a deleted bot's id is free, but not for ever: of a bot with many messages that takes a while."""
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(_PURGED):
                await self._database.purged(bot)

    def _start(self, bot: Bot) -> None:
        slug = bot.current.bot
        self._bots[slug] = bot
        self._supervisors[slug] = self._running.spawn(bot.run(), f"supervisor-{slug}")

    async def complete(self, step: Coroutine[Any, Any, T], name: str) -> T:
        """Run *step* to its end even when the caller is cancelled, so that no bot is half there."""
        return await self._steps.shielded(step, name)

    async def _remove(self, found: Bot, *, force: bool) -> None:
        bot = found.current.bot
        await found.leave(partial(self._erase, found), force=force)
        await asyncio.wait([self._supervisors[bot]])
        del self._bots[bot], self._supervisors[bot]
        await self._outbox.detach(bot)

    async def _erase(self, found: Bot) -> None:
        """Destroy what is kept for a bot that is unlinked, then the bot itself."""
        bot, name = found.current.bot, found.current.row.name

        def work(transaction: UnitOfWork) -> int:
            transaction.bots.delete(bot)
            return transaction.journal.append(EventType.BOT_DELETED, bot, {"id": bot, "name": name}).seq

        await self._transports.auth_state(found.current.row.transport).forget(bot)
        self._database.tail.forget(bot, await self._database.write(work))


def _settle(
    transaction: UnitOfWork, bots: builtins.list[Bot], unreadable: builtins.list[tuple[BotId, MessageId]]
) -> None:
    """Own the bots; after a crash emit of each message under way that nobody knows; fail what cannot be read."""
    for own in bots:
        own.store.claim(transaction)
        for message in transaction.outbox.interrupted(own.current.bot, _CRASHED):
            inbox.emit_status(transaction, own.current.bot, message)
    for bot, message in unreadable:
        if transaction.outbox.finish(message, MessageState.FAILED, DAMAGED_ROW):
            inbox.emit_status(transaction, bot, message)


def _id_taken() -> Conflict:
    return Conflict("there is a bot with this id already", field="id")
