"""The core with a real database, over transports that do what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from tests.harness.keys import KEYS
from tests.harness.scripted import ALICE, ProbedTransport, ScriptedTransport, ScriptedTransports
from zapwire.core.tuning import Tuning
from zapwire.core.wiring import Core, open_core
from zapwire.model.bots import BotState, BotView, TransportKind
from zapwire.model.content.text import TextContent
from zapwire.model.errors import StoreError
from zapwire.model.events import Event
from zapwire.model.messages import Message, MessageId, Party
from zapwire.model.pairing import QrCode
from zapwire.store.sqlite.database import Database
from zapwire.transport.protocol import Paired, Receipt, ReceiptKind, Received
from zapwire.transport.registry import TransportRegistry

__all__ = ["ALICE", "KEYS", "ProbedTransport", "ScriptedTransport", "ScriptedTransports"]

PHONE = "+4915123456789"
CHAT = "4915123456789@s.whatsapp.net"
QUICK = Tuning(
    backoff_first=0.01, backoff_most=0.02, logout_time=2, reply_after=0.01, cursor_saved=0.01, store_again=0.01
)
LOOPBACK = [ip_network("127.0.0.0/8")]


@dataclass
class World:
    core: Core
    transports: ScriptedTransports
    database: Database

    async def until(self, bot: str, state: BotState) -> BotView:
        """Wait until *bot* is in *state*."""
        async with asyncio.timeout(10):
            while True:
                found = self.core.bots.get(bot)
                if found.view.state is state:
                    return found.view
                await found.current.changed.wait()

    async def tell(self, bot: str, event: Any) -> None:
        """Let the connection of *bot* emit *event*, and wait until it is stored."""
        transport = self.transports[bot]
        async with asyncio.timeout(10):
            await transport.started.wait()
        assert transport.emit is not None
        await transport.emit(event)

    async def events(self, kind: str | None = None) -> list[Event]:
        page = await self.core.subscriptions.page(0, types=None if kind is None else [kind], limit=1000)
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


def registered(transports: Any) -> TransportRegistry:
    """*transports* as the factory of WhatsApp Web."""
    return TransportRegistry({TransportKind.WHATSAPP_WEB: transports})


@asynccontextmanager
async def world(
    path: Path,
    *,
    linked: bool = False,
    limits: Tuning = QUICK,
    transports: ScriptedTransports | None = None,
    **options: Any,
) -> AsyncIterator[World]:
    transports = transports or ScriptedTransports(linked=linked)
    async with (
        Database.open(path, KEYS) as database,
        open_core(database, registered(transports), limits=limits, **{"webhook_networks": LOOPBACK, **options}) as core,
    ):
        yield World(core, transports, database)


async def give(at: World, bot: str, command: str) -> None:
    """Give a bot a command by its name; `delete` is one of the registry's."""
    if command == "delete":
        await at.core.bots.delete(bot)
    else:
        await getattr(at.core.bots.get(bot), command)()


def qr(attempt: int = 1, seconds: float = 60) -> QrCode:
    return QrCode(f"2@code{attempt}", datetime.now(UTC) + timedelta(seconds=seconds), attempt)


def paired() -> Paired:
    return Paired(ALICE)


def text(whatsapp_id: str, body: str = "hello", *, chat: Party | None = None, from_me: bool = False) -> Received:
    party = chat or Party("8000000000001@lid", PHONE, "8000000000001@lid")
    content = TextContent(text=body)
    return Received(Message(MessageId(whatsapp_id), party, party, from_me, datetime.now(UTC), content, "Bob"))


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
