"""The journal's promise: one row of numbers without a hole, in the order of commits, whatever fails beside it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.scripted import eventually, text
from tests.harness.keys import KEYS
from zapwire.core import intake
from zapwire.core.live import Follower
from zapwire.errors import NotFound, StoreError
from zapwire.events import Event, EventType
from zapwire.model import BotId, Party
from zapwire.store import bots, journal, times
from zapwire.store.bots import BotRow
from zapwire.store.db import Database, Transaction
from zapwire.store.turns import Turn

BOT = BotId("a")


def append(transaction: Transaction, **data: Any) -> None:
    journal.append(transaction, EventType.BOT_STATE, BOT, data)


def work(number: int, fate: str) -> Callable[[Transaction], int]:
    """A write of some events that goes well, or fails alone, or dooms the whole commit it is in."""

    def run(transaction: Transaction) -> int:
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


def doom(transaction: Transaction) -> None:
    """Let the commit fail."""
    transaction.sql.execute("PRAGMA defer_foreign_keys = ON")
    transaction.sql.execute("INSERT INTO person_addresses VALUES ('nobody', x'00', 'p', 0)")


async def follow(database: Database, seen: list[int]) -> None:
    reader = Follower(database, 0)
    while True:
        seen.extend(one.seq for one in await reader.batch() if isinstance(one, Event))


async def page(database: Database, seen: list[int]) -> None:
    """As another process would read: from the table, whatever was published."""
    while True:
        events, _ = await database.read(lambda sql: journal.read(sql, seen[-1] if seen else 0, 7))
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
        reader = Follower(database, 0)
        for number, seconds in enumerate(moments):
            monkeypatch.setattr(times, "now", lambda seconds=seconds: start + timedelta(seconds=seconds))
            await database.write(lambda transaction, number=number: append(transaction, number=number))
        events = await reader.batch()
        assert [event.data["number"] for event in events] == list(range(6))
        assert [event.timestamp for event in events] == [start + timedelta(seconds=seconds) for seconds in moments]
        stored, _ = await database.read(lambda sql: journal.read(sql, 0, 10))
        assert stored == events


IDS, CHATS = st.sampled_from(["A", "B", "C"]), st.sampled_from(["1@lid", "2@lid"])
FILES = itertools.count()
PAUSES = st.integers(0, 10)
COPIES = st.lists(st.tuples(IDS, CHATS, CHATS, st.booleans()), max_size=25)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(COPIES)
async def test_a_repeat_is_dropped_only_once_the_first_copy_is_stored(tmp_path: Path, copies: list[tuple]):
    """Each copy comes with whether its commit fails: then the next copy is the first."""
    async with Database.open(tmp_path / f"{next(FILES)}.db", KEYS) as database:
        await database.write(lambda t: bots.insert(t, BotRow(BOT, "a", autostart=True, created_at=times.now())))
        stored: list[tuple[str, str, str]] = []
        for whatsapp_id, chat, sender, fails in copies:
            identity = (whatsapp_id, chat, sender)
            message = replace(text(whatsapp_id).message, chat=Party(chat), sender=Party(sender))
            if fails:
                with pytest.raises(StoreError):
                    await asyncio.gather(intake.received(database, BOT, message, Turn(None)), database.write(doom))
            else:
                assert bool(await intake.received(database, BOT, message, Turn(None))) is (identity not in stored)
                stored += [identity] if identity not in stored else []
        events, _ = await database.read(lambda sql: journal.read(sql, 0, 100))
        told = [(e.data["id"], e.data["chat"]["jid"], e.data["sender"]["jid"]) for e in events]
        assert told == stored
        assert [event.seq for event in events] == list(range(1, len(stored) + 1))


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(["good", "raises", "dooms"]), PAUSES, PAUSES), min_size=2, max_size=12))
async def test_writes_that_are_tried_again_keep_their_order(tmp_path: Path, writes: list[tuple[str, int, int]]):
    """Each write fails once in its way, or not, and tries again after a pause of its own; so many ms."""
    async with Database.open(tmp_path / f"{next(FILES)}.db", KEYS) as database:
        turn = None

        async def write(number: int, fate: str, again: int, turn: Turn) -> None:
            def failing(transaction: Transaction) -> None:
                append(transaction, number=number)
                if fate == "raises":
                    raise StoreError("no")
                doom(transaction)

            run = failing if fate != "good" else partial(append, number=number)
            while True:
                with contextlib.suppress(StoreError):
                    return await database.write(turn.keep(run))
                run = partial(append, number=number)
                await asyncio.sleep(again / 1000)

        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for number, (fate, again, before_next) in enumerate(writes):
                turn = Turn(turn)
                group.create_task(write(number, fate, again, turn))
                if before_next:
                    await asyncio.sleep(before_next / 1000)
        events, _ = await database.read(lambda sql: journal.read(sql, 0, 100))
        assert [event.data["number"] for event in events] == list(range(len(writes)))
