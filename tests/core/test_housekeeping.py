"""Retention while everything else goes on."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.receiver import receiver
from tests.core.scripted import QUICK, eventually, text, world
from zapwire.core import housekeeping
from zapwire.model import BotState
from zapwire.store import chunks

WEEK = 7 * 24 * 3600 * 1000 + 1


async def test_an_endpoint_that_was_away_too_long_is_told_what_it_missed(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=replace(QUICK, housekeeping=0.02)) as at:
        await at.core.fleet.create("bot")
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


async def test_pruning_lets_every_other_write_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(chunks, "FIRST", 10)
    monkeypatch.setattr(chunks, "MOST", 10)
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.fleet.create("bot")
        await at.until("bot", BotState.CONNECTED)
        for number in range(200):
            await at.tell("bot", text(f"A{number}"))
        await at.database.write(lambda t: t.sql.execute("UPDATE journal SET timestamp = timestamp - ?", (WEEK,)))
        pruning = asyncio.create_task(housekeeping.prune(at.database, QUICK))
        meanwhile = 0
        while not pruning.done():
            await at.tell("bot", text(f"B{meanwhile}"))
            meanwhile += 1
        await pruning
        assert meanwhile > 15, "a write for each step at least"
        query = "SELECT count(*) FROM journal WHERE type = 'message.received'"
        assert await at.database.read(lambda sql: sql.execute(query).fetchone()) == (meanwhile,)
