"""What is old goes, what is needed stays, and a database of the first schema keeps what it has."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.events import EventType
from zapwire.model import BotId, Message, MessageId, MessageState, Party
from zapwire.store import bots, deliveries, delivery_log, journal, messages, outbox, persons, retention, times, webhooks
from zapwire.store.bots import BotRow
from zapwire.store.db import Database, Transaction
from zapwire.store.deliveries import Attempt, DeliveryState, Record
from zapwire.store.outbox import NewMessage
from zapwire.store.webhooks import Endpoint, Keys

BOT = BotId("a")
NOW = times.now()
OLD = NOW - timedelta(days=31)
OLDEST = NOW - timedelta(days=30)


def received(number: int, written: datetime = OLD) -> Message:
    party = Party("1@lid")
    return Message(MessageId(f"WA{number}"), party, party, False, written, "text", {"text": "hi"})  # noqa: FBT003


def insert(transaction: Transaction, message: Message) -> bool:
    known = persons.learn(transaction, BOT, message.chat)
    return messages.insert(transaction, BOT, message, known, known)


def out(transaction: Transaction, name: str, state: MessageState, updated: datetime) -> None:
    key = f"key-{name}"
    outbox.insert(transaction, NewMessage(MessageId(name), BOT, "1@lid", "text", {}, b"", NOW, NOW, key), state)
    transaction.sql.execute("UPDATE outbox SET updated_at = ? WHERE id = ?", (times.to_ms(updated), name))


def record(seq: int, state: DeliveryState) -> Record:
    due = NOW if state is DeliveryState.FAILED else None
    tried = Attempt(NOW, 500, 1, "no")
    return Record(seq, f"evt_{seq}", "bot.state", BOT, BOT, NOW, state, NOW, tries=1, due=due, attempt=tried)


def column(transaction: Transaction, query: str) -> set[str]:
    return {row[0] for row in transaction.sql.execute(query)}


async def test_old_ends_go_and_the_rest_stays(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        bots.insert(transaction, BotRow(BOT, "a", autostart=True, created_at=OLD))
        for state in MessageState:
            out(transaction, f"old-{state}", state, OLD)
            out(transaction, f"new-{state}", state, NOW)
        assert retention.prune_rows(transaction, 100, "outbox", OLDEST) == len(MessageState) - 2
        left = column(transaction, "SELECT id FROM outbox")
        assert left == {f"new-{state}" for state in MessageState} | {"old-queued", "old-sending"}
        assert outbox.by_key(transaction.sql, BOT, "key-old-sent") is None
        assert outbox.by_key(transaction.sql, BOT, "key-new-sent") is not None

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_a_late_message_is_still_known_when_it_comes_again(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        bots.insert(transaction, BotRow(BOT, "a", autostart=True, created_at=OLD))
        assert insert(transaction, received(1))
        retention.prune_rows(transaction, 100, "messages", OLDEST)
        assert not insert(transaction, received(1))
        transaction.sql.execute("UPDATE messages SET stored_at = ?", (times.to_ms(OLD),))
        retention.prune_rows(transaction, 100, "messages", OLDEST)
        assert column(transaction, "SELECT whatsapp_id FROM messages") == set()

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_a_lot_goes_in_steps_by_index(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        bots.insert(transaction, BotRow(BOT, "a", autostart=True, created_at=OLD))
        for number in range(10):
            insert(transaction, received(number))
        transaction.sql.execute("UPDATE messages SET stored_at = 0")
        assert [retention.prune_rows(transaction, 4, "messages", OLDEST) for _ in range(3)] == [4, 4, 2]
        assert column(transaction, "SELECT whatsapp_id FROM messages") == set()
        for step in retention.KINDS.values():
            plan = " ".join(row[3] for row in transaction.sql.execute(f"EXPLAIN QUERY PLAN {step}", (0, 4)))
            assert "_at" in plan, plan

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_endpoints_that_have_everything_cost_nothing(tmp_path: Path):
    """Else each step of the pruning took longer the more there are, and did less."""
    statements: list[str] = []

    def work(transaction: Transaction) -> None:
        bots.insert(transaction, BotRow(BOT, "a", autostart=True, created_at=OLD))
        events(transaction, *[40] * 20)
        for number in range(50):
            webhooks.insert(transaction, replace(SLOW, id=f"whk_{number}"), Keys("whsec_x"))
        transaction.sql.set_trace_callback(statements.append)
        assert retention.prune_events(transaction, 100, journal.last_seq(transaction.sql)) == 20
        transaction.sql.set_trace_callback(None)

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)
    assert len(statements) < 10, statements


@pytest.mark.parametrize(("kind", "others"), [("dead", "delivered"), ("delivered", "dead")])
async def test_old_deliveries_of_another_state_cost_nothing(tmp_path: Path, kind: str, others: str):
    """A receiver that refuses everything has dead deliveries by the million, which are kept for longer."""
    looks: list[None] = []

    def work(transaction: Transaction) -> None:
        webhooks.insert(transaction, SLOW, Keys("whsec_x"))
        for seq in range(1000):
            deliveries.store(transaction, SLOW.id, [record(seq, DeliveryState(others))])
        deliveries.store(transaction, SLOW.id, [record(1000, DeliveryState(kind))])
        transaction.sql.execute("UPDATE deliveries SET at = ?", (times.to_ms(OLD),))
        transaction.sql.set_progress_handler(lambda: looks.append(None), 100)
        assert retention.prune_rows(transaction, 10, kind, OLDEST) == 1
        transaction.sql.set_progress_handler(None, 0)
        assert column(transaction, "SELECT state FROM deliveries") == {others}

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)
    assert len(looks) < 10, "100 instructions each"


SLOW = Endpoint("slow", "http://x", ("bot.*",), None, enabled=True, created_at=NOW)


def events(transaction: Transaction, *ages: float) -> None:
    """One event for each of these ages in days."""
    for age in ages:
        event = journal.append(transaction, EventType.BOT_STATE, BOT, {"age": age})
        at = times.to_ms(NOW - timedelta(days=age))
        transaction.sql.execute("UPDATE journal SET timestamp = ? WHERE seq = ?", (at, event.seq))


@pytest.mark.parametrize(
    ("ages", "point"),
    [
        ([], 0),
        ([1, 0], 0),
        ([40, 35, 31, 29, 0], 3),
        ([40, 29, 35, 0], 1),  # got too early a time: waits for the one before it
        ([40, -400, 35, 29], 3),  # got a time that is still to come: holds up nobody
        ([40, -400, 29], 1),
        ([-400, -400], 0),
        ([40, 35], 2),
    ],
)
async def test_events_go_in_the_order_in_which_they_happened(tmp_path: Path, ages: list[float], point: int):
    def work(transaction: Transaction) -> int:
        events(transaction, *ages)
        return journal.prune_point(transaction.sql, OLDEST, NOW)

    async with Database.open(tmp_path / "db", KEYS) as database:
        assert await database.write(work) == point


async def test_what_an_endpoint_still_had_to_get_is_counted_and_told(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        sql = transaction.sql
        endpoints = (SLOW, replace(SLOW, id="off", enabled=False), replace(SLOW, id="other", events=("message.*",)))
        for endpoint in (*endpoints, replace(SLOW, id="far", bots=("b",)), replace(SLOW, id="quick")):
            webhooks.insert(transaction, endpoint, Keys("s"))
        events(transaction, *[40] * 8, *[0] * 2)
        webhooks.save_cursor(transaction, "slow", 5)
        deliveries.store(transaction, "slow", [record(seq, DeliveryState.FAILED) for seq in (2, 6, 9)])
        webhooks.save_cursor(transaction, "quick", 10)
        point = journal.prune_point(sql, OLDEST, NOW)
        assert [retention.prune_events(transaction, 3, point) for _ in range(4)] == [3, 3, 2, 0]
        assert journal.floor(sql) == 8
        assert column(transaction, "SELECT seq FROM journal") == {9, 10}
        assert column(transaction, "SELECT seq FROM deliveries") == {9}
        cursors = dict(sql.execute("SELECT id, cursor FROM endpoints"))
        assert cursors == {"slow": 8, "off": 8, "other": 8, "far": 8, "quick": 10}
        retention.tell_gaps(transaction)
        retention.tell_gaps(transaction)
        told, _ = journal.read(sql, 10, 10)
        assert [(event.type, event.bot, event.data) for event in told] == [
            ("webhook.gap", "", {"webhook": "slow", "from_seq": 2, "to_seq": 8, "count": 4})
        ]
        # Switched on again at last, having missed the rest too; and one that did not even get the news of its gap.
        sql.execute("UPDATE endpoints SET enabled = 1 WHERE id = 'off'")
        while retention.prune_events(transaction, 3, 11):
            pass
        retention.tell_gaps(transaction)
        told, _ = journal.read(sql, 11, 10)
        assert [event.data for event in told] == [
            {"webhook": "off", "from_seq": 1, "to_seq": 10, "count": 10},
            {"webhook": "slow", "from_seq": 2, "to_seq": 10, "count": 6},
        ]

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_records_of_deliveries_go_with_the_events_and_dead_letters_stay_longer(tmp_path: Path):
    def work(transaction: Transaction) -> None:
        webhooks.insert(transaction, SLOW, Keys("s"))
        events(transaction, *[40] * 4)
        deliveries.store(transaction, "slow", [record(1, DeliveryState.DELIVERED), record(2, DeliveryState.FAILED)])
        for seq in (3, 4):
            deliveries.bury(transaction, "slow", record(seq, DeliveryState.DEAD), "{}")
        webhooks.save_cursor(transaction, "slow", 4)
        delivery_log.replay(transaction, "slow", [4])
        retention.prune_events(transaction, 100, 4)
        assert column(transaction, "SELECT seq FROM deliveries") == {1, 3, 4}  # 4 is replayed, with its own event
        assert column(transaction, "SELECT count FROM webhook_gaps") == {1}
        transaction.sql.execute("UPDATE deliveries SET at = 0")
        transaction.sql.execute("UPDATE dead_letters SET at = 0 WHERE seq = 3")
        for kind in ("delivered", "dead", "dead_letters"):
            retention.prune_rows(transaction, 100, kind, OLDEST)
        assert column(transaction, "SELECT seq FROM deliveries") == {4}
        assert deliveries.letter(transaction.sql, "slow", 3) is None
        assert deliveries.letter(transaction.sql, "slow", 4) == "{}"

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)
