"""How fast messages get into the journal: each bot stores one after the other, all bots share the commits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.table import Figures, percentile
from tests.harness.keys import KEYS
from zapwire.core.messages import inbox
from zapwire.model.bots import BotId, BotRow
from zapwire.model.content.text import TextContent
from zapwire.model.messages import Message, MessageId, Party
from zapwire.store.ordered_writes import OrderedWrites
from zapwire.store.ports import UnitOfWork
from zapwire.store.sqlite.database import Database

SECONDS = 3.0
_ANA = Party("80000000000001@lid", "+4915123456789", "80000000000001@lid")
_TEXT = "a message as people write them, neither short nor long, " * 2
_MESSAGE = Message(MessageId(""), _ANA, _ANA, from_me=False, timestamp=datetime.now(UTC),
                   content=TextContent(text=_TEXT), push_name="Ana")  # fmt: skip


async def measure(figures: Figures, folder: Path) -> None:
    """Events a second with 1, 10 and 100 bots, and how long one takes."""
    for count in (1, 10, 100):
        async with Database.open(folder / f"journal-{count}.db", KEYS) as database:
            await _with(figures, database, count)


async def _with(figures: Figures, database: Database, count: int) -> None:
    names = [BotId(f"bot-{number}") for number in range(count)]
    until, took = time.monotonic() + SECONDS, list[float]()

    def insert(transaction: UnitOfWork) -> None:
        for name in names:
            transaction.bots.insert(BotRow(name, name, autostart=True, created_at=datetime.now(UTC)))

    async def one(bot: BotId) -> None:
        number, writes = 0, OrderedWrites(database, bot, 1.0)
        while (begun := time.monotonic()) < until:
            number += 1
            await inbox.received(writes, bot, replace(_MESSAGE, id=MessageId(f"{number}")))
            took.append((time.monotonic() - begun) * 1000)

    await database.write(insert)
    await asyncio.gather(*(one(name) for name in names))
    what = f"messages into the journal, {count} bot{'s' * (count > 1)}"
    figures.add(what, len(took) / SECONDS, "/s")
    figures.add(f"{what}: one takes, p50", percentile(took, 0.5), "ms")
    figures.add(f"{what}: one takes, p99", percentile(took, 0.99), "ms")
