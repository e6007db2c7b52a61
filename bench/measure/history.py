"""Lists of messages out of many."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

from bench.table import Figures, percentile
from tests.harness.keys import KEYS
from zapwire.core.messages.history import Filter, MessageHistory
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.content.text import TextContent
from zapwire.model.messages import Message, MessageId, Party
from zapwire.store.ports import UnitOfWork
from zapwire.store.sqlite.database import Database

MESSAGES: Final = 1_000_000
CHATS: Final = 2_000
AT_ONCE: Final = 10_000
ASKED: Final = 200
BOT: Final = BotId("bench")


async def measure(figures: Figures, folder: Path) -> None:
    """Pages of 50: of all chats and of one, the newest and in the middle."""
    async with Database.open(folder / "history.db", KEYS) as database:
        await database.write(lambda unit: unit.bots.insert(BotRow(BOT, "bench", True, timestamps.now())))  # noqa: FBT003
        for first in range(0, MESSAGES, AT_ONCE):
            await database.write(partial(_fill, first=first))
        history = MessageHistory(database)
        for what, wanted in (("all chats", Filter()), ("one chat", None)):
            took, cursor = list[float](), None
            for number in range(ASKED):
                one = wanted or Filter(chat=f"{80000000000 + number % CHATS}@lid")
                began = time.perf_counter()
                page = await history.page(BOT, one, cursor, 50)
                took.append(1000 * (time.perf_counter() - began))
                assert page.messages
                cursor = page.next if wanted is not None else None
            figures.add(f"50 of {MESSAGES:,} messages, {what}, p95", percentile(took, 0.95), "ms", "< 20")


def _fill(unit: UnitOfWork, first: int) -> None:
    now = timestamps.now() - timedelta(days=30)
    chance = random.Random(first)
    for number in range(first, first + AT_ONCE):
        jid = f"{80000000000 + chance.randrange(CHATS)}@lid"
        known = unit.persons.learn(BOT, Party(jid, lid=jid))
        content = TextContent(text=f"message {number}")
        moment = now + timedelta(seconds=number)
        message = Message(MessageId(f"3EB{number:017}"), known.party, known.party, False, moment, content)  # noqa: FBT003
        unit.messages.insert(BOT, message, known, known)
