"""What is old goes, what is needed stays, and a database of the first schema keeps what it has."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.events import EventType
from zapwire.model import BotId, Message, MessageId, MessageState, Party
from zapwire.store import bots, journal, messages, outbox, retention, times, webhooks
from zapwire.store.bots import BotRow
from zapwire.store.db import Database, Transaction
from zapwire.store.outbox import NewMessage
from zapwire.store.webhooks import Endpoint, Parked

BOT = BotId("a")
NOW = times.now()
OLD = NOW - timedelta(days=31)
OLDEST = NOW - timedelta(days=30)


def received(number: int, written: datetime = OLD) -> Message:
    party = Party("1@lid")
    return Message(MessageId(f"WA{number}"), party, party, False, written, "text", {"text": "hi"})  # noqa: FBT003


def out(transaction: Transaction, name: str, state: MessageState, updated: datetime) -> None:
    key = f"key-{name}"
    outbox.insert(transaction, NewMessage(MessageId(name), BOT, "1@lid", "text", {}, b"", NOW, NOW, key), state)
    transaction.sql.execute("UPDATE outbox SET updated_at = ? WHERE id = ?", (times.to_ms(updated), name))


def column(transaction: Transaction, query: str) -> set[str]:
    return {row[0] for row in transaction.sql.execute(query)}


async def test_old_ends_go_and_the_rest_stays(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        bots.insert(transaction, BotRow(BOT, "a", autostart=True, created_at=OLD))
        for state in MessageState:
            out(transaction, f"old-{state}", state, OLD)
            out(transaction, f"new-{state}", state, NOW)
        assert not retention.prune(transaction, OLDEST)
        left = column(transaction, "SELECT id FROM outbox")
        assert left == {f"new-{state}" for state in MessageState} | {"old-queued", "old-sending"}
        assert outbox.by_key(transaction.sql, BOT, "key-old-sent") is None
        assert outbox.by_key(transaction.sql, BOT, "key-new-sent") is not None

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_a_late_message_is_still_known_when_it_comes_again(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        bots.insert(transaction, BotRow(BOT, "a", autostart=True, created_at=OLD))
        assert messages.insert(transaction, BOT, received(1))
        retention.prune(transaction, OLDEST)
        assert not messages.insert(transaction, BOT, received(1))
        transaction.sql.execute("UPDATE messages SET stored_at = ?", (times.to_ms(OLD),))
        retention.prune(transaction, OLDEST)
        assert column(transaction, "SELECT whatsapp_id FROM messages") == set()

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_a_lot_goes_in_steps_by_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "CHUNK", 4)

    def work(transaction: Transaction) -> None:
        bots.insert(transaction, BotRow(BOT, "a", autostart=True, created_at=OLD))
        for number in range(10):
            messages.insert(transaction, BOT, received(number))
        transaction.sql.execute("UPDATE messages SET stored_at = 0")
        assert [retention.prune(transaction, OLDEST) for _ in range(3)] == [True, True, False]
        assert column(transaction, "SELECT whatsapp_id FROM messages") == set()
        for step in retention._STEPS:
            plan = " ".join(row[3] for row in transaction.sql.execute(f"EXPLAIN QUERY PLAN {step}", (0, 4)))
            assert "_at" in plan, plan

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_the_journal_keeps_what_an_endpoint_still_has_to_get_but_not_for_ever(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        sql = transaction.sql
        slow = Endpoint("slow", "http://x", ("*",), None, enabled=True, created_at=NOW)
        for endpoint in (slow, replace(slow, id="off", enabled=False)):
            webhooks.insert(transaction, endpoint, "s")
        for number in range(10):
            journal.append(transaction, EventType.BOT_STATE, BOT, {"number": number})
        webhooks.save_cursor(transaction, "slow", 5)
        webhooks.park(transaction, "off", [Parked(2, "a", 1, NOW)])

        def left() -> list[int]:
            return [row[0] for row in sql.execute("SELECT seq FROM journal ORDER BY seq")]

        assert journal.prune(transaction, 2, OLDEST) == 4
        assert left() == [2, 6, 7, 8, 9, 10]
        sql.execute("UPDATE journal SET timestamp = ?", (times.to_ms(OLD),))
        journal.prune(transaction, 2, OLDEST)
        assert left() == [9, 10]
        webhooks.bury(transaction, "slow", Parked(9, "a", 1, NOW), "{}", "no")
        sql.execute("UPDATE dead_letters SET at = 0")
        retention.prune(transaction, OLDEST)
        assert webhooks.dead_letters(sql, "slow") == []

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)
