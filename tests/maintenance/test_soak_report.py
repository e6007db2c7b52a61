"""The report on bots on real numbers: right figures, and nothing that says whose they are."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.core.scripted import ALICE, KEYS, QUICK, World, eventually, paired, qr, text, world
from zapwire.maintenance import soak_report
from zapwire.model import timestamps
from zapwire.model.bots import BotState
from zapwire.model.content.text import TextContent
from zapwire.model.errors import Blocked, Condition, Restricted, StoreError
from zapwire.settings import Settings
from zapwire.transport.protocol import Connected, Disconnected, Received

SECRETS = (
    "shop-of-alice",
    "Corner <b>Shop</b>",
    "hello secret",
    "4915123456789",
    "4915100000001",
    "Alice",
    "proxy.example",
)


class Key:
    keys = KEYS


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(soak_report.master_key, "find", lambda _: Key)
    return Settings(sessions_dir=tmp_path, database=tmp_path / "db")


async def lived(at: World) -> None:
    """Two bots: one has lost its connection, was limited and got messages; the other one was outdated."""
    await at.core.bots.create("shop-of-alice", "Corner <b>Shop</b>")
    transport = at.transports["shop-of-alice"]
    for step in (qr(1), paired(), Connected(ALICE), Disconnected("lost"), Connected(ALICE)):
        transport.script.put_nowait(step)
    await eventually(lambda: at.core.stats.counters.all.reconnects == 1)
    await at.until("shop-of-alice", BotState.CONNECTED)
    await at.tell("shop-of-alice", text("IN1", "hello secret"))
    late = text("IN2", "hello secret")
    await at.tell("shop-of-alice", Received(replace(late.message, timestamp=timestamps.now() - timedelta(hours=1))))

    def refuse(_: object) -> None:
        raise Restricted("limited (error 463)", error=463, strangers=True)

    transport.answer = refuse
    await at.core.outbox.submit("shop-of-alice", "+4915123450000", TextContent(text="hello secret"))
    await eventually(lambda: at.core.bots.get("shop-of-alice").view.restriction is not None)
    await at.core.bots.create("second")
    at.transports["second"].script.put_nowait(qr(1))
    outdated = Blocked("Corner <b>Shop</b>", action="Update.", condition=Condition.OUTDATED)
    at.transports["second"].script.put_nowait(outdated)
    await at.until("second", BotState.BLOCKED)


async def test_the_figures_are_right_and_nobody_is_named(tmp_path: Path, chosen: Settings) -> None:
    async with world(tmp_path / "db", limits=replace(QUICK, strangers_first=600)) as at:
        await lived(at)
        report = soak_report.make(chosen, "0.5.2", "2026-09-21")  # beside the running daemon
    first, second = report.bots
    assert (first.bot, first.linked, first.reconnects, first.limits) == ("bot-1", True, 1, {"first-messages": 1})
    assert (first.received, first.late, first.sent) == (2, 1, {"queued": 1})
    assert 3500 < first.longest_delay < 3700
    assert (second.bot, second.linked, second.ends, second.code) == ("bot-2", False, {"outdated": 1}, "outdated")
    again = soak_report.make(chosen, "0.5.2", "2026-09-21")
    for shown in (soak_report.as_json(again), soak_report.as_markdown(again)):
        assert [secret for secret in SECRETS if secret in shown] == []
        assert "first-messages" in shown
    assert json.loads(soak_report.as_json(again))["bots"][1]["ends"] == {"outdated": 1}


async def test_without_the_key_it_says_what_is_not_known(
    tmp_path: Path, chosen: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path / "db") as at:
        await lived(at)
    monkeypatch.setattr(soak_report.master_key, "find", lambda _: None)
    report = soak_report.make(chosen, "0.5.2", None)
    assert report.bots[0].limits is None
    assert "not known without the master key" in soak_report.as_markdown(report)


async def test_words_that_are_not_ours_do_not_leave(tmp_path: Path, chosen: Settings) -> None:
    async with world(tmp_path / "db") as at:
        await lived(at)
    with closing(sqlite3.connect(tmp_path / "db")) as sql, sql:
        sql.execute("UPDATE bot_history SET code = 'Corner <b>Shop</b>', state = 'blocked'")
        sql.execute("UPDATE outbox SET state = '| hello secret |'")
        sql.execute("UPDATE journal SET data = x'00' WHERE type = 'bot.state'")
    shown = soak_report.as_markdown(soak_report.make(chosen, "0.5.2", None))
    assert [secret for secret in SECRETS if secret in shown] == []
    assert "other" in shown


async def test_what_cannot_be_read_is_an_error_in_words(tmp_path: Path, chosen: Settings) -> None:
    async with world(tmp_path / "db"):
        pass
    with closing(sqlite3.connect(tmp_path / "db")) as sql, sql:
        sql.execute("PRAGMA user_version = 3")
    with pytest.raises(StoreError, match="another version of zapwire"):
        soak_report.make(chosen, "0.5.2", None)
    (tmp_path / "db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot be read"):
        soak_report.make(chosen, "0.5.2", None)
