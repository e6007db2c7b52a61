"""One bot: what a person wants of it, and how the task that makes the connection follow learns of it.

Orders (connect, disconnect, restart, logout, delete) and the connection meet here, and they may come in any order at
any time. Three rules keep that simple:

* **One supervisor task** owns the transport (`core/bots/supervisor.py`).
* **An order is an entry in the database, a new status and a new epoch, in one step under one lock.** It returns at
  once; the supervisor sees the new epoch, ends what it was doing and does what is wanted now. Orders that came
  meanwhile collapse into the last one; only a logout is done in any case.
* **The connection speaks with the epoch it was started in** (`core/bots/connection.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from zapwire.core.bots import pairing as pairing_steps
from zapwire.core.bots import proxies
from zapwire.core.bots import status as statuses
from zapwire.core.bots.context import BotContext
from zapwire.core.bots.identifiers import check_name
from zapwire.core.bots.rate_limiter import RateLimiter
from zapwire.core.bots.state import CurrentState, shielded
from zapwire.core.bots.status import HALTED, Status
from zapwire.core.bots.supervisor import Command, Supervisor
from zapwire.core.bots.transitions import halted
from zapwire.core.messages.restrictions import RestrictionDetector
from zapwire.core.store_retry import retry_until_stored
from zapwire.model import timestamps
from zapwire.model.bots import BotRow, BotState, BotView, HistoryEntry, Restriction, Wanted
from zapwire.model.errors import Condition, Conflict, NotSupported
from zapwire.model.ignoring import check_ignore
from zapwire.model.jid import parse_country, parse_phone
from zapwire.model.pairing import PairingCode, PairingOptions, PasskeyChallenge, QrCode, VerificationCode
from zapwire.model.proxy import Proxy
from zapwire.model.unset import KEEP, Keep
from zapwire.runtime.tasks import spawn
from zapwire.store.fencing import OwnedStore
from zapwire.transport.protocol import TakesPairingOptions, Transport

T = TypeVar("T")


class Bot:
    """One bot; `run` is its supervisor's, the rest are the orders. Made and owned by `BotRegistry`."""

    def __init__(
        self,
        row: BotRow,
        context: BotContext,
    ) -> None:
        self._context = context
        self._limits = context.limits
        self._transport: Transport = context.transports.make(row)
        proxies.use(self._transport, row.proxy)
        self.store = OwnedStore(context.database, row.id)
        """What is written for the bot goes there, once it is claimed."""
        self._rate_limiter = RateLimiter(context.limits.starts_per_minute)
        self._supervisor = Supervisor(row, self._transport, context, self.store)
        self._current = self._supervisor.current
        self.restrictions = RestrictionDetector(row.id, context.limits, row.restriction, self._note_restriction)
        """What the account may not send for the moment."""
        self._restriction = row.restriction
        """The newest, stored or not."""
        self._noting = False
        """It is being stored."""
        self._answering = False
        """A passkey's answer is being handed in."""

    @property
    def current(self) -> CurrentState:
        """What is known of the bot."""
        return self._current

    @property
    def view(self) -> BotView:
        """The bot as the API shows it."""
        return self._current.view

    @property
    def transport(self) -> Transport:
        """The bot's connection, for sending."""
        return self._transport

    @property
    def is_at_passkey(self) -> bool:
        """Is a person linking it with a passkey just now? What restarts the daemon would make them begin again."""
        return self._current.status.is_at_passkey

    async def qr(self, wait: float) -> QrCode:
        """See `pairing_steps.qr`."""
        return await pairing_steps.qr(self._current, wait)

    async def pairing_code(self, phone: str) -> PairingCode:
        """A code to type on the phone with that number. Raises `InvalidInput` (phone), and what
        `pairing_steps.pairing_code` raises.
        """
        number = parse_phone(phone, country=self._context.outbox.country_of(self._current.bot))
        return await pairing_steps.pairing_code(
            self._current, self._transport, self._rate_limiter, number, wait=self._limits.pairing_wait
        )

    async def passkey(self, wait: float) -> PasskeyChallenge | VerificationCode:
        """See `pairing_steps.passkey`."""
        return await pairing_steps.passkey(self._current, self._transport, wait)

    async def answer_passkey(self, answer: Mapping[str, Any]) -> None:
        """Hand in a browser's answer to the passkey's challenge; returns once WhatsApp has accepted it.

        Raises `Conflict` also while another answer is handed in, and what `pairing_steps.answer_passkey` raises.
        """
        if self._answering:
            raise Conflict("another answer is being handed in: wait for its outcome")
        self._answering = True
        try:
            await pairing_steps.answer_passkey(self._current, self._transport, answer)
        finally:
            self._answering = False

    async def confirm_passkey(self, code: str) -> None:
        """See `pairing_steps.confirm_passkey`; *code* as people write it, or empty when the phone shows another one."""
        plain = code.replace("-", "").upper()
        await pairing_steps.confirm_passkey(self._current, self._transport, f"{plain[:4]}-{plain[4:]}" if plain else "")

    async def history(self, *, before: int | None = None, limit: int = 100) -> list[HistoryEntry]:
        """What it was doing, newest first: at most *limit* entries, those before the one with the id *before*."""
        bot = self._current.bot
        return await self._context.database.read(lambda view: view.bot_history.page(bot, before, limit))

    async def run(self) -> None:
        """Make the connection follow the orders until the bot leaves; see `Supervisor.run`."""
        await self._supervisor.run()

    # -- orders -------------------------------------------------------------------------------------------------

    @shielded
    async def connect(self) -> BotView:
        """Be connected from now on; between two attempts: try now. Returns at once. Raises `TooMany`."""
        at = self._current
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_unfit(at.row)
            running = self._supervisor.command is Command.RUN and at.status.state not in HALTED
            if running and at.row.wanted is Wanted.CONNECTED and at.status.next_attempt_at is None:
                return at.view
            if not running or at.status.next_attempt_at is not None:
                self._rate_limiter.spend()
            wanted = replace(at.row, wanted=Wanted.CONNECTED, halt=None)
            if running:
                await at.commit(wanted, at.status)
                self._supervisor.hurry()
            else:
                await at.commit(wanted, Status(BotState.STARTING))
                self._supervisor.give(Command.RUN)
            return at.view

    @shielded
    async def disconnect(self) -> BotView:
        """Be disconnected from now on. Returns at once."""
        at = self._current
        async with at.lock:
            at.refuse_when_leaving()
            await self._end_connection()
            return at.view

    async def _end_connection(self) -> None:
        """With the lock held."""
        await self._current.commit(replace(self._current.row, wanted=Wanted.STOPPED), self._stopped())
        if self._supervisor.command is not Command.LOGOUT:  # a logout is finished, then it is disconnected anyway
            self._supervisor.give(Command.STOP)

    def _stopped(self) -> Status:
        at = self._current
        if at.row.moved or at.row.damaged or at.status.state is BotState.LOGGED_OUT:
            return at.status
        if at.status.code == Condition.LOGGING_OUT:
            return replace(at.status, state=BotState.STOPPED)
        return Status(BotState.STOPPED, statuses.LOGGING_OUT if at.row.unlinking is not None else None)

    @shielded
    async def restart(self, *, pairing: bool = False) -> BotView:
        """Drop the connection and connect again; with *pairing* only if no account is linked, for new QR codes. Returns
        at once. Raises `TooMany`, `Conflict`.
        """
        at = self._current
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_unfit(at.row)
            if pairing and at.linked:
                raise Conflict("the bot is linked already: log it out first to link another account")
            self._rate_limiter.spend()
            await at.commit(replace(at.row, wanted=Wanted.CONNECTED, halt=None), Status(BotState.STARTING))
            self._supervisor.give(Command.RUN)
            return at.view

    @shielded
    async def logout(self, *, force: bool = False) -> BotView:
        """Unlink the device; the state becomes `logged_out` once WhatsApp has been notified, or at once with *force*.

        Returns at once. Raises `Conflict` when it has moved, and `TooMany`.
        """
        at = self._current
        async with at.lock:
            at.refuse_when_leaving()
            _refuse_unfit(at.row)
            if at.status.state is not BotState.LOGGED_OUT:
                if at.row.unlinking is not None and not force:  # again: try now
                    self._rate_limiter.spend()
                row = replace(at.row, wanted=Wanted.STOPPED, unlinking=at.row.unlinking or timestamps.now())
                await at.commit(row, replace(at.status, reason=statuses.LOGGING_OUT, action=None, next_attempt_at=None))
                self._supervisor.give(Command.LOGOUT, force=force)
            return at.view

    async def hand_over(self, make: Callable[[], Awaitable[T]]) -> T:
        """Disconnect, and once that is done let *make* copy the auth state: the bot has moved away then.

        Raises `Conflict` when another order comes meanwhile or the connection does not end, and what *make* raises;
        then nothing has moved, and it stays a stopped bot unless the other order says otherwise.
        """
        mine = await self._begin_move()
        try:
            async with asyncio.timeout(self._limits.move_time):
                await self._idle(mine)
        except TimeoutError:
            raise Conflict("the bot's connection does not end: try again later") from None
        made = await make()
        await self._move_away(mine)
        return made

    @shielded
    async def _begin_move(self) -> int:
        """Disconnect; the epoch of that order."""
        at = self._current
        async with at.lock:
            at.refuse_when_leaving()
            if at.row.unlinking is not None:
                raise Conflict("the bot is being logged out")
            await self._end_connection()
            return at.epoch

    async def _idle(self, mine: int) -> None:
        """Until the connection has ended. Raises `Conflict` once another order has come since *mine*."""
        at, idle = self._current, self._supervisor.idle
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

    @shielded
    async def _move_away(self, mine: int) -> None:
        at = self._current
        async with at.lock:
            _refuse_another(at, mine)
            if not at.linked:
                raise Conflict("the bot was logged out meanwhile: there is nothing to export")
            status = statuses.moved_away()
            await at.commit(halted(status, replace(at.row, wanted=Wanted.STOPPED)), status)

    @shielded
    async def arrive(self, place: Callable[[], Awaitable[None]], *, start: bool) -> BotView:
        """Come back: let *place* put the auth state here, and be a bot like any other. Raises what *place* raises, and
        `Conflict` when the bot had not moved away.
        """
        at = self._current
        async with at.lock:  # nobody deletes it meanwhile, which would leave the auth state behind
            at.refuse_when_leaving()
            if not at.row.moved:
                raise Conflict("there is a bot with this id already: import it under another id", field="id")
            await place()
            wanted = Wanted.CONNECTED if start else Wanted.STOPPED
            status = Status(BotState.STARTING if start else BotState.STOPPED)
            await at.commit(replace(at.row, wanted=wanted, halt=None), status)
            self._supervisor.give(Command.RUN if start else Command.STOP)
            return at.view

    async def leave(self, erase: Callable[[], Awaitable[None]], *, force: bool = False) -> None:
        """Unlink the device, let *erase* delete the bot, and end `run`.

        Raises `NotUnlinked` when WhatsApp cannot be notified, unless *force*, and what *erase* raises; then the bot
        stays.
        """
        at = self._current
        async with at.lock:
            at.refuse_when_leaving()
            done = self._supervisor.depart(erase, force=force)
        await done

    async def change(
        self,
        *,
        name: str | None = None,
        autostart: bool | None = None,
        proxy: str | Keep | None = KEEP,
        proxy_check: bool = True,
        default_country: str | Keep | None = KEEP,
        pairing_options: PairingOptions | None = None,
        ignore: Sequence[str] | Keep | None = KEEP,
    ) -> BotView:
        """Change what is given. A new *autostart* also replaces what the last connect or disconnect said, a new *proxy*
        makes the connection again; with *proxy_check* it has to lead to WhatsApp. *pairing_options* are for the next
        pairing.

        Raises `InvalidInput` (name, proxy, default_country, pairing_options, ignore), `NotSupported` (proxy,
        pairing_options), `TooMany`.
        """
        fields: dict[str, Any] = {} if name is None else {"name": check_name(name)}
        if autostart is not None:
            fields |= {"autostart": autostart, "wanted": None}
        if not isinstance(default_country, Keep):
            fields["default_country"] = parse_country(default_country)
        if not isinstance(ignore, Keep):
            fields["ignore"] = None if ignore is None else check_ignore(ignore)
        if pairing_options is not None:
            if not isinstance(self._transport, TakesPairingOptions):
                raise NotSupported("bots of this transport are not paired", field="pairing_options")
            fields["pairing_options"] = pairing_options.checked()
        kind = self._current.row.transport
        way = await self._context.proxies.accept(proxy, kind, check=proxy_check)
        return await self._change(fields, way)

    @shielded
    async def _change(self, fields: Mapping[str, Any], proxy: Proxy | Keep | None) -> BotView:
        at = self._current
        async with at.lock:
            at.refuse_when_leaving()
            if at.row.damaged:
                _refuse_unfit(at.row)
            row = replace(at.row, **fields)
            if isinstance(proxy, Keep) or proxy == row.proxy:
                await at.commit(row, at.status)
                return at.view
            row, status = replace(row, proxy=proxy), at.status
            renew = self._supervisor.command is Command.RUN and status.state not in HALTED
            if renew:
                self._rate_limiter.spend()
                status = Status(BotState.STARTING)
            await at.commit(row, status)
            proxies.use(self._transport, proxy)
            if renew:
                self._supervisor.give(Command.RUN)
            return at.view

    def _note_restriction(self, restriction: Restriction | None) -> None:
        """Store the newest *restriction*; one that an even newer one replaces before it is stored is left out."""
        self._restriction = restriction
        if not self._noting:
            self._noting = True
            self._current.soon(self._note_newest(), "restriction")

    async def _note_newest(self) -> None:
        at, limits = self._current, self._limits

        async def note() -> None:
            async with at.lock:
                await at.commit(replace(at.row, restriction=self._restriction), at.status)

        try:
            while at.row.restriction != self._restriction:
                await retry_until_stored(note, at.bot, limits.store_again, limits.store_patience)
        finally:
            self._noting = False


def _refuse_another(at: CurrentState, mine: int) -> None:
    at.refuse_when_leaving()
    if at.epoch != mine:
        raise Conflict("another command was issued for this bot: try again")


def _refuse_unfit(row: BotRow) -> None:
    if row.damaged and row.halt is not None:
        raise Conflict(f"{row.halt.reason}; {row.halt.action}")
    if row.moved:
        raise Conflict(
            "the bot has moved to another installation: delete it here, or import its bundle to have it back"
        )
