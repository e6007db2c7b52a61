"""Deleting a bot or a webhook hides it at once and holds up nobody; what it left goes bit by bit, over restarts too."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.core.scripted import eventually, text
from tests.harness.keys import KEYS
from zapwire.core.events import serializers
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.content.text import TextContent
from zapwire.model.deliveries import Attempt, DeliveryFilter, DeliveryRecord, DeliveryState
from zapwire.model.errors import Conflict
from zapwire.model.events import EventType
from zapwire.model.messages import MessageId, MessageState, NewMessage, Party
from zapwire.model.webhooks import Endpoint, EndpointKeys
from zapwire.store import chunked_writes
from zapwire.store.sqlite import purge as purging
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.sealed_values import SealedConnection
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

NOW = timestamps.now()
GONE, STAYS = BotId("gone"), BotId("stays")
HOOKS = ("whk_a", "whk_b")
ROWS = 60


def fill(transaction: SqliteUnitOfWork) -> None:
    for hook in HOOKS:
        endpoint = Endpoint(hook, "http://x", ("*",), None, enabled=True, created_at=NOW)
        transaction.endpoints.insert(endpoint, EndpointKeys("s"))
    for bot in (GONE, STAYS):
        transaction.bots.insert(BotRow(bot, bot, autostart=True, created_at=NOW))
        transaction.bot_history.note(bot, state="stopped", code=None, reason=None, action=None)
    for number in range(ROWS):
        for bot in (GONE, STAYS):
            fill_one(transaction, bot, number)


def fill_one(transaction: SqliteUnitOfWork, bot: BotId, number: int) -> None:
    party = Party(f"{number}@lid", f"+49151{number:08}", f"{number}@lid")
    message = replace(text(f"{bot}{number}", chat=party).message)
    known = transaction.persons.learn(bot, party)
    transaction.messages.insert(bot, message, known, known)
    event = transaction.journal.append(EventType.MESSAGE_RECEIVED, bot, serializers.message_json(message))
    for hook, state in zip(HOOKS, (DeliveryState.FAILED, DeliveryState.DEAD), strict=True):
        tried = Attempt(NOW, 503, 1, "no")
        due = NOW if state is DeliveryState.FAILED else None
        what = (event.seq, event.id, event.type.value, bot, f"{bot}/{party.phone}", NOW, state, NOW)
        record = DeliveryRecord(*what, tries=1, due=due, attempt=tried)
        if state is DeliveryState.DEAD:
            transaction.delivery_queue.bury(hook, record, "{}")
        else:
            transaction.delivery_queue.store(hook, [record])
    key = f"key{number}"
    new = NewMessage(MessageId(f"msg_{bot}{number}"), bot, party.jid, TextContent(text=""), b"", NOW, NOW, key)
    transaction.outbox.insert(new, MessageState.QUEUED)


def seen(sql: SealedConnection) -> dict[str, Any]:
    """What each way of reading shows, by bot."""
    events, _ = sql.journal.read(0, 10_000)
    pages = [one for hook in HOOKS for one in sql.delivery_log.page(hook, DeliveryFilter(), None, 10_000)]
    replayable = [one for hook in HOOKS for one in sql.delivery_log.replayable(hook, DeliveryFilter(), 0, 10_000)[0]]
    waiting = sql.backlog.backlog().outbox
    found = {
        "bots": {row.id for row in sql.bots.all_bots()},
        "exist": {bot for bot in (GONE, STAYS) if sql.bots.exists(bot)},
        "events": {event.bot for event in events},
        "by seq": {event.bot for seq in range(1, 2 * ROWS + 1) if (event := sql.journal.by_seq(seq)) is not None},
        "has": {GONE if seq % 2 else STAYS for seq in range(1, 2 * ROWS + 1) if sql.journal.has(seq)},
        "deliveries": {one.bot for one in pages},
        "replayable": {lane.partition("/")[0] for _, lane in replayable},
        "of a chat": {
            one.bot for one in sql.delivery_log.page(HOOKS[0], DeliveryFilter(chat="+4915100000001"), None, 10_000)
        },
        "messages": {bot for bot in (GONE, STAYS) if sql.outbox.get(bot, f"msg_{bot}1") is not None},
        "backlog": set(waiting),
    }
    letters = {seq for seq in range(1, 2 * ROWS + 1) if sql.delivery_queue.letter(HOOKS[1], seq) is not None}
    found["letters"] = {GONE if seq % 2 else STAYS for seq in letters}
    return found


def rows_of(sql: SealedConnection, bot: str) -> dict[str, int]:
    """How many rows each table has that tell of a bot; of all tables with such a column."""
    found = {}
    for (table,) in sql.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        columns = {row[1] for row in sql.execute(f"PRAGMA table_info({table})")}
        column = "bot" if "bot" in columns else "id" if table == "bots" else None
        if column is not None:
            (found[table],) = sql.execute(f"SELECT count(*) FROM {table} WHERE {column} = ?", (bot,)).fetchone()
    found["dead_letters"] = sql.execute(
        "SELECT count(*) FROM dead_letters WHERE seq % 2 = ?", (1 if bot == GONE else 0,)
    ).fetchone()[0]
    return found


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small steps with time in between."""
    monkeypatch.setattr(chunked_writes, "FIRST", 10)
    monkeypatch.setattr(chunked_writes, "MOST", 10)
    monkeypatch.setattr(purging, "SCANNED", 7)


def stop_purging(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let the purger do nothing until the result is called."""
    blocked, purge = asyncio.Event(), purging.Purger._purge

    async def wait(self: purging.Purger, one: purging.Doomed) -> None:
        await blocked.wait()
        await purge(self, one)

    monkeypatch.setattr(purging.Purger, "_purge", wait)
    return blocked.set


async def test_a_deleted_bot_is_gone_for_all_readers_at_once_and_then_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: None
):
    go_on = stop_purging(monkeypatch)
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(20):
        await database.write(fill)
        before = await database.read(seen)
        assert all(who == {GONE, STAYS} for who in before.values()), before
        kept = await database.read(lambda view: rows_of(view.sql, STAYS))
        await database.write(lambda t: t.bots.delete(GONE))
        hidden = await database.read(seen)
        assert all(who == {STAYS} for who in hidden.values()), hidden
        assert (await database.read(lambda view: rows_of(view.sql, GONE)))["messages"] == ROWS, "it was only hidden"

        def again(transaction: SqliteUnitOfWork) -> bool:
            return transaction.bots.insert(BotRow(GONE, "new", autostart=True, created_at=NOW))

        with pytest.raises(Conflict, match="still being removed"):
            await database.write(again)
        go_on()
        await database.purged(GONE)
        assert set((await database.read(lambda view: rows_of(view.sql, GONE))).values()) == {0}
        assert await database.read(lambda view: rows_of(view.sql, STAYS)) == kept
        assert await database.write(again)
        await database.purged("nobody")


async def test_what_is_told_after_the_deletion_stays(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(20):
        await database.write(fill)

        def delete_and_tell(transaction: SqliteUnitOfWork) -> int:
            transaction.bots.delete(GONE)
            return transaction.journal.append(EventType.BOT_STATE, GONE, {"last": "words"}).seq

        seq = await database.write(delete_and_tell)
        for _ in range(2):
            events, _ = await database.read(lambda view: view.journal.read(0, 10_000, bots=[GONE]))
            assert [event.seq for event in events] == [seq]
            await database.purged(GONE)


async def test_a_purge_goes_on_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: None):
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(fill)
        await database.write(lambda t: t.bots.delete(GONE))
        await database.write(lambda t: t.endpoints.delete(HOOKS[0]))
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(20):
        assert await database.read(lambda unit: unit.bots.all_bots()) != []
        await database.purged(GONE)
        assert set((await database.read(lambda view: rows_of(view.sql, GONE))).values()) == {0}
        assert await database.read(lambda view: view.endpoints.get(HOOKS[0])) is None


async def test_others_write_between_the_steps(tmp_path: Path, slow: None):
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(20):
        await database.write(fill)
        await database.write(lambda t: t.bots.delete(GONE))
        purged = asyncio.ensure_future(database.purged(GONE))
        meanwhile = 0
        while not purged.done():
            await database.write(lambda t: t.journal.append(EventType.BOT_STATE, STAYS, {}))
            meanwhile += 1
        await purged
        assert meanwhile > ROWS // 10, "one for each step at least"


async def test_deliveries_under_way_do_not_bring_a_bot_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stop_purging(monkeypatch)
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(fill)
        await database.write(lambda t: t.bots.delete(GONE))
        before = await database.read(lambda view: rows_of(view.sql, GONE))
        tried = Attempt(NOW, 200, 1, None)
        late = [
            DeliveryRecord(seq, f"evt_{bot}", "x", bot, bot, NOW, DeliveryState.DELIVERED, NOW, attempt=tried)
            for seq, bot in ((1, GONE), (2, STAYS))
        ]
        await database.write(lambda t: t.sql.execute("DELETE FROM deliveries WHERE seq < 3"))
        await database.write(lambda t: t.delivery_queue.store(HOOKS[0], late))
        stored = await database.read(
            lambda view: view.sql.execute("SELECT bot FROM deliveries WHERE seq < 3").fetchall()
        )
        assert stored == [(STAYS,)]
        assert (await database.read(lambda view: rows_of(view.sql, GONE)))["deliveries"] == before["deliveries"] - 2


async def test_the_events_of_a_deleted_bot_are_nothing_a_webhook_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    stop_purging(monkeypatch)
    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(fill)
        await database.write(lambda t: t.bots.delete(GONE))
        await database.write(lambda t: t.retention.prune_events(10_000, 2 * ROWS))
        counts = await database.read(
            lambda view: dict(view.sql.execute("SELECT endpoint, count FROM webhook_gaps").fetchall())
        )
        assert counts == dict.fromkeys(HOOKS, ROWS)


async def test_a_deleted_webhook_is_gone_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: None):
    go_on = stop_purging(monkeypatch)
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(20):
        await database.write(fill)
        assert await database.write(lambda t: t.endpoints.delete(HOOKS[0]))
        assert not await database.write(lambda t: t.endpoints.delete(HOOKS[0]))
        assert [one.id for one in await database.read(lambda unit: unit.endpoints.all_endpoints())] == [HOOKS[1]]
        assert await database.read(lambda view: view.endpoints.get(HOOKS[0])) is None
        assert await database.read(lambda view: view.endpoints.keys(HOOKS[0])) is None
        assert not await database.read(lambda view: view.endpoints.exists(HOOKS[0]))
        assert (await database.read(lambda unit: unit.backlog.backlog())).queued == 0
        go_on()

        async def purged() -> bool:
            return await database.read(lambda view: purging.doomed(view.sql)) == []

        await eventually(purged)
        left = await database.read(lambda view: view.sql.execute("SELECT DISTINCT endpoint FROM deliveries").fetchall())
        assert left == [(HOOKS[1],)]


async def test_no_step_looks_through_a_whole_table(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        for parent in ("bots", "endpoints"):
            children = await database.read(lambda view, parent=parent: purging._children(view.sql, parent))
            assert len(children) >= 3
            for child in children:
                query = f"EXPLAIN QUERY PLAN SELECT 1 FROM {child.table} WHERE {child.column} = ?"
                plan = await database.read(lambda view, query=query: view.sql.execute(query, ("x",)).fetchall())
                assert all("SEARCH" in row[3] for row in plan), (child, plan)


def test_steps_are_as_large_as_they_can_be_without_holding_up_others():
    assert chunked_writes.fitting(100, chunked_writes.AIM) == 100
    assert chunked_writes.fitting(100, chunked_writes.AIM * 4) == 25
    assert chunked_writes.fitting(100, chunked_writes.AIM / 10) == 200, "it grows step by step"
    assert chunked_writes.fitting(100, 60) == chunked_writes.FEWEST
    assert chunked_writes.fitting(chunked_writes.MOST, 0) == chunked_writes.MOST
