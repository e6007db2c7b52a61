"""The journal's promise: one row of numbers without a hole, in the order of commits, whatever fails beside it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.scripted import eventually, text
from tests.harness.keys import KEYS
from zapwire.core.events.subscriptions import Subscriber
from zapwire.core.messages import inbox
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.errors import NotFound, StoreError
from zapwire.model.events import Event, EventType
from zapwire.model.messages import Party
from zapwire.store.ordered_writes import OrderedWrites
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

BOT = BotId("a")


def append(transaction: SqliteUnitOfWork, **data: Any) -> None:
    transaction.journal.append(EventType.BOT_STATE, BOT, data)


def work(number: int, fate: str) -> Callable[[SqliteUnitOfWork], int]:
    """A write of some events that goes well, or fails alone, or dooms the whole commit it is in."""

    def run(transaction: SqliteUnitOfWork) -> int:
        for _ in range(1 + number % 3):
            append(transaction, number=number)
        if fate == "raises":
            raise NotFound("no")
        if fate == "wrong":
            transaction.sql.execute("INSERT INTO nowhere VALUES (1)")
        if fate == "dooms":
            doom(transaction)
        return 1 + number % 3

    return run


def doom(transaction: SqliteUnitOfWork) -> None:
    """Let the commit fail."""
    transaction.sql.execute("PRAGMA defer_foreign_keys = ON")
    transaction.sql.execute("INSERT INTO person_addresses VALUES ('nobody', x'00', 'p', 0)")


async def follow(database: Database, seen: list[int]) -> None:
    reader = Subscriber(database, 0)
    while True:
        seen.extend(one.seq for one in await reader.batch() if isinstance(one, Event))


async def page(database: Database, seen: list[int]) -> None:
    """As another process would read: from the table, whatever was published."""
    while True:
        events, _ = await database.read(lambda sql: sql.journal.read(seen[-1] if seen else 0, 7))
        seen.extend(event.seq for event in events)


async def test_readers_never_see_a_hole_and_nothing_turns_up_behind_them(tmp_path: Path):
    chance = random.Random(4)
    async with Database.open(tmp_path / "db", KEYS) as database:
        database.tail._kept = 5  # followers must go to the table too
        seen: tuple[list[int], list[int]] = ([], [])
        readers = [asyncio.create_task(follow(database, seen[0])), asyncio.create_task(page(database, seen[1]))]
        counts = []

        async def write(number: int, fate: str) -> None:
            await asyncio.sleep(chance.random() / 50)
            with contextlib.suppress(NotFound, StoreError):
                counts.append(await database.write(work(number, fate)))

        for wave in range(20):  # one failing commit costs a wave at most: each second one has none
            fates = chance.choices(["good", "raises", "wrong", "dooms"], [16, 2, 2, wave % 2], k=20)
            await asyncio.gather(*(write(20 * wave + number, fate) for number, fate in enumerate(fates)))
        last = database.tail.last_seq
        await eventually(lambda: min(map(len, seen)) >= last)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    assert sum(counts) == last > 100
    assert seen[0] == seen[1] == list(range(1, last + 1))


async def test_the_clock_may_jump_and_the_order_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    moments = [0, 60, -86_400 * 400, 30, 86_400 * 4000, 90]
    start = datetime(2026, 1, 31, 12, tzinfo=UTC)
    async with Database.open(tmp_path / "db", KEYS) as database:
        reader = Subscriber(database, 0)
        for number, seconds in enumerate(moments):
            monkeypatch.setattr(timestamps, "now", lambda seconds=seconds: start + timedelta(seconds=seconds))
            await database.write(lambda transaction, number=number: append(transaction, number=number))
        events = await reader.batch()
        assert [event.data["number"] for event in events] == list(range(6))
        assert [event.timestamp for event in events] == [start + timedelta(seconds=seconds) for seconds in moments]
        stored, _ = await database.read(lambda sql: sql.journal.read(0, 10))
        assert stored == events


IDS, CHATS = st.sampled_from(["A", "B", "C"]), st.sampled_from(["1@lid", "2@lid"])
FILES = itertools.count()
PAUSES = st.integers(0, 10)
COPIES = st.lists(st.tuples(IDS, CHATS, CHATS, st.booleans()), max_size=25)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COPIES)
async def test_a_repeat_is_dropped_only_once_the_first_copy_is_stored(tmp_path: Path, copies: list[tuple]):
    """Each copy comes with whether its first commit fails, so that it is retried."""
    async with Database.open(tmp_path / f"{next(FILES)}.db", KEYS) as database:
        await database.write(lambda t: t.bots.insert(BotRow(BOT, "a", autostart=True, created_at=timestamps.now())))
        stored: list[tuple[str, str, str]] = []
        for whatsapp_id, chat, sender, fails in copies:
            identity = (whatsapp_id, chat, sender)
            message = replace(text(whatsapp_id).message, chat=Party(chat), sender=Party(sender))
            storing = inbox.received(OrderedWrites(database, "bot", 0.001), BOT, message)
            others = [database.write(doom)] if fails else []
            first, *failed = await asyncio.gather(storing, *others, return_exceptions=True)
            assert all(isinstance(one, StoreError) for one in failed)
            assert (first is not None) is (identity not in stored)
            stored += [identity] if identity not in stored else []
        events, _ = await database.read(lambda sql: sql.journal.read(0, 100))
        told = [(e.data["id"], e.data["chat"]["jid"], e.data["sender"]["jid"]) for e in events]
        assert told == stored
        assert [event.seq for event in events] == list(range(1, len(stored) + 1))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["good", "raises", "dooms"]), PAUSES, PAUSES), min_size=2, max_size=12))
async def test_writes_that_are_tried_again_keep_their_order(tmp_path: Path, writes: list[tuple[str, int, int]]):
    """Each write fails so often in its way, or not at all; begun so many ms after the one before."""
    async with Database.open(tmp_path / f"{next(FILES)}.db", KEYS) as database:
        ordered = OrderedWrites(database, "bot", 0.002)

        async def write(number: int, fate: str, failures: int) -> None:
            left = iter(range(failures))

            def run(transaction: SqliteUnitOfWork) -> None:
                append(transaction, number=number)
                if fate == "good" or next(left, None) is None:
                    return
                if fate == "raises":
                    raise StoreError("no")
                doom(transaction)

            await ordered.write(run)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for number, (fate, failures, before_next) in enumerate(writes):
                group.create_task(write(number, fate, failures))
                if before_next:
                    await asyncio.sleep(before_next / 1000)
        events, _ = await database.read(lambda sql: sql.journal.read(0, 100))
        assert [event.data["number"] for event in events] == list(range(len(writes)))
