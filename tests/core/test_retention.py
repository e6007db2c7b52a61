"""Retention while everything else goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.core.receiver import receiver
from tests.core.scripted import QUICK, World, eventually, registered, text, world
from zapwire.core import retention
from zapwire.core.monitoring.self_check import SelfCheck
from zapwire.model import timestamps
from zapwire.model.bots import BotState
from zapwire.store import chunked_writes
from zapwire.store.sqlite.database import Database

WEEK = 7 * 24 * 3600 * 1000 + 1


async def test_an_endpoint_that_was_away_too_long_is_told_what_it_missed(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=replace(QUICK, housekeeping=0.02)) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        await at.core.endpoints.update(endpoint.id, enabled=False)
        for number in range(5):
            await at.tell("bot", text(f"A{number}"))
        first, *_, last = [event.seq for event in await at.events("message.received")]
        await at.database.write(lambda t: t.sql.execute("UPDATE journal SET timestamp = timestamp - ?", (WEEK,)))

        async def pruned() -> bool:
            return await at.events("message.received") == []

        await eventually(pruned)
        await at.core.endpoints.update(endpoint.id, enabled=True)
        await at.tell("bot", text("B"))
        await hook.until(lambda: len(hook.taken) == 2)
        taken = {event["type"]: event for event in hook.taken}
        gap = {"webhook": endpoint.id, "from_seq": first, "to_seq": last, "count": 5}
        assert (taken["webhook.gap"]["data"], taken["webhook.gap"]["bot"]) == (gap, None)
        assert taken["message.received"]["data"]["id"] == "B"


async def test_a_clock_that_jumped_deletes_nothing_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    limits = replace(QUICK, housekeeping=0.01)
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        await at.tell("bot", text("A"))
    now = timestamps.now
    monkeypatch.setattr(timestamps, "now", lambda: now() + timedelta(days=100))
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        self_check = SelfCheck(at.database, registered(at.transports))
        await eventually(lambda: "clock" in at.database.alerts)
        await self_check.round()
        assert "100 days ahead" in self_check.alerts["clock"]
        assert [event.data["state"] for event in await at.events("daemon.alert")] == ["raised"]
        looked = len(await looks(at, monkeypatch, 3))
        assert looked == 3
        assert len(await at.events("message.received")) == 1
        monkeypatch.setattr(timestamps, "now", now)
        await eventually(lambda: "clock" not in at.database.alerts)
        await self_check.round()
        assert "clock" not in self_check.alerts
        # by a clock that is right, what is as old as that goes
        await at.database.write(lambda t: t.sql.execute("UPDATE journal SET timestamp = timestamp - ?", (WEEK,)))

        async def pruned() -> bool:
            return await at.events("message.received") == []

        await eventually(pruned)


async def looks(at: World, monkeypatch: pytest.MonkeyPatch, count: int) -> list[bool]:
    """What the next looks at the clock came to."""
    seen: list[bool] = []
    look, done = retention.look_at_clock, asyncio.Event()

    async def watched(database: Database, passed: float | None) -> bool:
        seen.append(await look(database, passed))
        if len(seen) == count:
            done.set()
        return seen[-1]

    with monkeypatch.context() as patch:
        patch.setattr(retention, "look_at_clock", watched)
        async with asyncio.timeout(10):
            await done.wait()
    assert not any(seen)
    return seen[:count]


async def test_pruning_lets_every_other_write_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunked_writes, "FIRST", 10)
    monkeypatch.setattr(chunked_writes, "MOST", 10)
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        for number in range(200):
            await at.tell("bot", text(f"A{number}"))
        await at.database.write(lambda t: t.sql.execute("UPDATE journal SET timestamp = timestamp - ?", (WEEK,)))
        pruning = asyncio.create_task(retention.prune(at.database, QUICK))
        meanwhile = 0
        while not pruning.done():
            await at.tell("bot", text(f"B{meanwhile}"))
            meanwhile += 1
        await pruning
        assert meanwhile > 15, "a write for each step at least"
        query = "SELECT count(*) FROM journal WHERE type = 'message.received'"
        assert await at.database.read(lambda sql: sql.sql.execute(query).fetchone()) == (meanwhile,)
