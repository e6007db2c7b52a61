"""What is known of one bot, and the one way to change it: stored first, then known, then told.

`commit` puts the row and the journal entry into one transaction. Memory follows right after the commit and before
the event goes out, so that whoever hears of a state and asks for it sees that state or a later one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from zapwire.core.bots import actions
from zapwire.core.bots.status import Status
from zapwire.core.events import serializers
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow, BotState, BotView, Health, Restriction
from zapwire.model.errors import Condition, Conflict, NotFound, StoreError
from zapwire.model.events import EventType
from zapwire.model.pairing import QrCode
from zapwire.runtime.tasks import Tasks
from zapwire.store.ports import Transactions, UnitOfWork

log = logging.getLogger(__name__)
T = TypeVar("T")
P = ParamSpec("P")

_RESTRICTING = {Condition.BANNED, Condition.LOCKED, Condition.OUTDATED, Condition.REFUSED}

Change = Callable[[BotRow], BotRow]
Also = Callable[[UnitOfWork], None]


def same(row: BotRow) -> BotRow:
    """The change that changes nothing."""
    return row


class _HasState(Protocol):
    @property
    def current(self) -> CurrentState: ...


StatedT = TypeVar("StatedT", bound=_HasState)


def shielded(
    command: Callable[Concatenate[StatedT, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[StatedT, P], Coroutine[Any, Any, T]]:
    """A command that runs to its end even when its caller is cancelled; see `CurrentState.complete`."""

    @wraps(command)
    async def complete(self: StatedT, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.current.complete(command(self, *args, **kwargs))

    return complete  # type: ignore[return-value]  # mypy: wraps() of a method names its first argument


class CurrentState:
    """The row, the status and the QR code of one bot. *followed* is called after each change, on the loop."""

    def __init__(self, row: BotRow, status: Status, store: Transactions, followed: Callable[[], None]) -> None:
        self.bot: BotId = row.id
        self.row = row
        self.status = status
        self.since = timestamps.now() if row.halt is None else row.halt.since
        self.qr: QrCode | None = None
        self.health: Callable[[], Health | None] = lambda: None
        """Whether WhatsApp answers, asked of the connection there is."""
        self.unhealthy = False
        """`bot.unhealthy` was emitted, and `bot.healthy` not yet."""
        self.lock = asyncio.Lock()
        """Held by whoever changes anything, from looking to committing."""
        self.epoch = 0
        """Counts the orders; what the connection of an older one reports is out of date."""
        self.leaving = False
        """It is being deleted, which may still fail; until then it takes no orders."""
        self.gone = False
        """It was deleted."""
        self.changed = asyncio.Event()
        """Set once, at the next change; take it *before* looking, then wait for it."""
        self._store = store
        self._followed = followed
        self._tasks = Tasks()
        self._told: BotView | None = self.view

    def tell_anew(self) -> None:
        """Let the next commit be emitted even if it changes nothing since the daemon started."""
        self._told = None

    @property
    def view(self) -> BotView:
        """The bot as the API shows it."""
        view = replace(_view(self.row, self.status, self.since), health=self.health())
        return replace(view, actions=()) if self.leaving else view

    @property
    def linked(self) -> bool:
        """Is the bot a device of an account?"""
        return self.row.identity.phone is not None or self.row.identity.lid is not None

    def refuse_when_leaving(self) -> None:
        """Raises `NotFound` for a bot that was deleted, and `Conflict` for one that is being deleted."""
        if self.gone:
            raise NotFound("no such bot", field="bot")
        if self.leaving:
            raise Conflict("the bot is being deleted")

    async def until(self, there: Callable[[Status], bool]) -> None:
        """Return as soon as the status is as *there* wants it. Raises `NotFound` or `Conflict` when the bot leaves."""
        while True:
            changed = self.changed
            self.refuse_when_leaving()
            if there(self.status):
                return
            await changed.wait()

    def wake(self) -> None:
        """Let everybody who waits for a change look again."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    async def commit(
        self,
        row: BotRow,
        status: Status,
        *,
        also: Also | None = None,
        code: QrCode | None = None,
        event: EventType | None = None,
    ) -> None:
        """Store *row*, the history and the event, with *also* in the same transaction; with the lock held.

        Repeats are dropped. *event* is emitted besides `bot.state`, in any case.
        """
        since = self.since if status.state is self.status.state else timestamps.now()
        told = _view(row, status, since)
        repeat = told == self._told
        if repeat and row == self.row and also is None and event is None:
            return
        noted = status != self.status or self._told is None

        def adopt() -> None:
            self.qr = code or (self.qr if status is self.status else None)
            self.row, self.status, self.since, self._told = row, status, since, told
            self.wake()
            self._followed()

        data = serializers.bot_json(replace(told, health=self.health()))

        def work(transaction: UnitOfWork) -> None:
            if row != self.row:
                transaction.bots.update(row)
            if not repeat:
                transaction.journal.append(EventType.BOT_STATE, row.id, data)
            if noted:
                transaction.bot_history.note(
                    row.id,
                    state=status.state,
                    code=status.code,
                    reason=status.cause or status.reason,
                    action=status.action,
                )
            if event is not None:
                transaction.journal.append(event, row.id, data)
            if also is not None:
                also(transaction)
            transaction.after_commit.append(adopt)

        await self._store.write(work)

    async def report(
        self,
        status: Status,
        epoch: int,
        change: Change = same,
        *,
        also: Also | None = None,
        code: QrCode | None = None,
        event: EventType | None = None,
        strict: bool = False,
    ) -> None:
        """Set the status unless an order came since *epoch*. Only with *strict* a failing database is raised."""

        async def step() -> None:
            async with self.lock:
                if epoch == self.epoch:
                    await self.commit(change(self.row), status, also=also, code=code, event=event)

        try:
            await self.complete(step())
        except StoreError as error:
            if strict:
                raise
            log.error("bot %s: its state could not be stored: %s", self.bot, error)  # noqa: TRY400 - no bug of ours

    async def complete(self, step: Coroutine[Any, Any, T]) -> T:
        """Run *step* to its end even when the caller is cancelled: what is stored and what is known must agree."""
        return await self._tasks.shielded(step, f"step-{self.bot}")

    def soon(self, step: Coroutine[Any, Any, None], name: str) -> None:
        """Run *step* beside everything else; `settled` waits for it."""
        self._tasks.spawn(step, f"{name}-{self.bot}")

    async def settled(self) -> None:
        """Until every step has ended whose caller went away."""
        await self._tasks.settled()


def _view(row: BotRow, status: Status, since: datetime) -> BotView:
    return BotView(
        id=row.id,
        name=row.name,
        autostart=row.autostart,
        state=status.state,
        reason=status.reason,
        since=since,
        action=status.action,
        next_attempt_at=status.next_attempt_at,
        identity=row.identity,
        created_at=row.created_at,
        code=status.code,
        restriction=_halting(status, since) or row.restriction,
        proxy=None if row.proxy is None else row.proxy.shown,
        default_country=row.default_country,
        pairing_options=row.pairing_options,
        ignore=row.ignore,
        transport=row.transport,
        actions=actions.possible(row, status),
        pairing=status.pairing,
    )


def _halting(status: Status, since: datetime) -> Restriction | None:
    """The limit that WhatsApp put on the whole account, when that is why the bot halted."""
    if status.state is not BotState.BLOCKED or status.code not in _RESTRICTING:
        return None
    return Restriction(status.code, status.reason or "", since, status.next_attempt_at)
