"""A transport that does what the test says, and the core on top of it with a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from tests.harness.keys import KEYS
from zapwire.core.assembly import Core, open_core
from zapwire.core.limits import Limits
from zapwire.errors import Conflict, NotConnected, StoreError
from zapwire.events import Event
from zapwire.model import (
    BotId,
    BotState,
    BotView,
    Identity,
    Message,
    MessageId,
    Outgoing,
    PairingCode,
    Party,
    QrCode,
    Sent,
)
from zapwire.store.db import Database
from zapwire.transport.base import Capabilities, Connected, Emit, Paired, Receipt, ReceiptKind, Received

ALICE = Identity("+4915100000001", "9000000000001@lid", "Alice")
PHONE = "+4915123456789"
CHAT = "4915123456789@s.whatsapp.net"
QUICK = Limits(
    backoff_first=0.01, backoff_most=0.02, logout_time=2, reply_after=0.01, cursor_saved=0.01, store_again=0.01
)
LOOPBACK = [ip_network("127.0.0.0/8")]
POWERS = Capabilities(pairing_qr=True, pairing_code=True)


@dataclass
class ScriptedTransport:
    """`run` waits for what the test puts into `script`: events to emit, or an error to raise."""

    bot: BotId
    linked: bool = False
    """Connect at once when run."""
    runs: int = 0
    running: int = 0
    logouts: int = 0
    sent: list[Outgoing] = field(default_factory=list)
    answer: Callable[[Outgoing], Any] | None = None
    """Makes (or raises, or awaits) what `send` returns."""
    capabilities: Capabilities = POWERS
    at_once: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.script: asyncio.Queue[Any] = asyncio.Queue()
        self.started = asyncio.Event()
        self.emit: Emit | None = None

    async def run(self, emit: Emit) -> None:
        assert self.running == 0, "two connections of one bot"
        self.running += 1
        self.runs += 1
        self.emit = emit
        self.started.set()
        try:
            if self.linked:
                await emit(Connected(ALICE))
            while True:
                step = await self.script.get()
                if isinstance(step, Exception):
                    raise step
                await emit(step)
        finally:
            try:
                await asyncio.sleep(0)  # stopping takes a moment, as it does for real
            finally:
                self.running -= 1
                self.emit = None
                self.started.clear()

    async def send(self, message: Outgoing) -> Sent:
        if self.running == 0:
            raise NotConnected("not connected")
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.answer is not None:
                result = self.answer(message)
                if asyncio.iscoroutine(result):
                    result = await result
                if result is not None:
                    self.sent.append(message)
                    return result
            self.sent.append(message)
            return Sent(f"WA{len(self.sent)}", datetime.now(UTC))
        finally:
            self.at_once -= 1

    async def logout(self) -> None:
        self.logouts += 1
        self.linked = False

    async def pairing_code(self, phone: str) -> PairingCode:
        return PairingCode("ABCD-EFGH", datetime.now(UTC) + timedelta(minutes=2))


class ScriptedTransports:
    """Makes them, and remembers which are linked, as a sessions folder would."""

    def __init__(self, *, linked: bool = False) -> None:
        self.made: dict[str, ScriptedTransport] = {}
        self.forgotten: list[str] = []
        self.adopted: dict[str, bytes] = {}
        self.occupied: set[str] = set()
        """Bots for whom something is kept that nobody knows of."""
        self.linked = linked

    def __call__(self, bot: BotId) -> ScriptedTransport:
        self.made[bot] = ScriptedTransport(bot, linked=self.linked)
        return self.made[bot]

    async def forget(self, bot: BotId) -> None:
        self.forgotten.append(bot)
        if bot in self.made:
            self.made[bot].linked = False

    async def state(self, bot: BotId, *, at_rest: bool) -> bytes:
        assert self.made[bot].running == 0 or not at_rest, "copied for a move while it still runs"
        return f"state of {bot}".encode()

    async def adopt(self, bot: BotId, state: bytes) -> None:
        if bot in self.occupied:
            raise Conflict("there is an auth file already")
        self.adopted[bot] = state
        self.made[bot].linked = True

    def __getitem__(self, bot: str) -> ScriptedTransport:
        return self.made[bot]


@dataclass
class World:
    core: Core
    transports: ScriptedTransports
    database: Database

    async def until(self, bot: str, state: BotState) -> BotView:
        """Wait until *bot* is in *state*."""
        async with asyncio.timeout(10):
            while True:
                found = self.core.fleet.find(bot)
                if found.view.state is state:
                    return found.view
                await found.standing.changed.wait()

    async def tell(self, bot: str, event: Any) -> None:
        """Let the connection of *bot* emit *event*, and wait until it is stored."""
        transport = self.transports[bot]
        async with asyncio.timeout(10):
            await transport.started.wait()
        assert transport.emit is not None
        await transport.emit(event)

    async def events(self, kind: str | None = None) -> list[Event]:
        page = await self.core.live.page(0, types=None if kind is None else [kind], limit=1000)
        return page.events


@dataclass
class Failing:
    """Makes the writes of a database fail while it is `broken`."""

    database: Database
    broken: bool = False
    failures: int = 0

    def __post_init__(self) -> None:
        self._write = self.database.write
        self.database.write = self.write  # type: ignore[method-assign]

    async def write(self, work: Callable[[Any], Any]) -> Any:
        if self.broken:
            self.failures += 1
            raise StoreError("cannot write the database: disk is full")
        return await self._write(work)


@asynccontextmanager
async def world(path: Path, *, linked: bool = False, limits: Limits = QUICK, **options: Any) -> AsyncIterator[World]:
    transports = ScriptedTransports(linked=linked)
    async with (
        Database.open(path, KEYS) as database,
        open_core(database, transports, limits=limits, **{"webhook_networks": LOOPBACK, **options}) as core,
    ):
        yield World(core, transports, database)


def qr(attempt: int = 1, seconds: float = 60) -> QrCode:
    return QrCode(f"2@code{attempt}", datetime.now(UTC) + timedelta(seconds=seconds), attempt)


def paired() -> Paired:
    return Paired(ALICE)


def text(whatsapp_id: str, body: str = "hello", *, chat: Party | None = None, from_me: bool = False) -> Received:
    party = chat or Party("8000000000001@lid", PHONE, "8000000000001@lid")
    content = {"text": body}
    return Received(Message(MessageId(whatsapp_id), party, party, from_me, datetime.now(UTC), "text", content, "Bob"))


def receipt(kind: ReceiptKind, *whatsapp_ids: str) -> Receipt:
    return Receipt(whatsapp_ids, kind, CHAT, datetime.now(UTC))


async def eventually(condition: Callable[[], Any]) -> None:
    """Wait for what no event announces: *condition*, which may be a coroutine function."""
    async with asyncio.timeout(10):
        while True:
            result = condition()
            if await result if asyncio.iscoroutine(result) else result:
                return
            await asyncio.sleep(0.002)
