"""What is old goes, what is needed stays, and a database of the first schema keeps what it has."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.content.text import TextContent
from zapwire.model.deliveries import Attempt, DeliveryRecord, DeliveryState
from zapwire.model.events import EventType
from zapwire.model.messages import Message, MessageId, MessageState, NewMessage, Party
from zapwire.model.webhooks import Endpoint, EndpointKeys
from zapwire.store.ports.journal import PrunedKind
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.repositories import (
    retention,
)
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

BOT = BotId("a")
NOW = timestamps.now()
OLD = NOW - timedelta(days=31)
OLDEST = NOW - timedelta(days=30)


def received(number: int, written: datetime = OLD) -> Message:
    party = Party("1@lid")
    return Message(MessageId(f"WA{number}"), party, party, False, written, TextContent(text="hi"))  # noqa: FBT003


def insert(transaction: SqliteUnitOfWork, message: Message) -> bool:
    known = transaction.persons.learn(BOT, message.chat)
    return transaction.messages.insert(BOT, message, known, known)


def out(transaction: SqliteUnitOfWork, name: str, state: MessageState, updated: datetime) -> None:
    key = f"key-{name}"
    transaction.outbox.insert(
        NewMessage(MessageId(name), BOT, "1@lid", TextContent(text=""), b"", NOW, NOW, key), state
    )
    transaction.sql.execute("UPDATE outbox SET updated_at = ? WHERE id = ?", (timestamps.to_ms(updated), name))


def record(seq: int, state: DeliveryState) -> DeliveryRecord:
    due = NOW if state is DeliveryState.FAILED else None
    tried = Attempt(NOW, 500, 1, "no")
    return DeliveryRecord(seq, f"evt_{seq}", "bot.state", BOT, BOT, NOW, state, NOW, tries=1, due=due, attempt=tried)


def column(transaction: SqliteUnitOfWork, query: str) -> set[str]:
    return {row[0] for row in transaction.sql.execute(query)}


async def test_old_ends_go_and_the_rest_stays(tmp_path: Path):
    def work(transaction: SqliteUnitOfWork) -> None:
        transaction.bots.insert(BotRow(BOT, "a", autostart=True, created_at=OLD))
        for state in MessageState:
            out(transaction, f"old-{state}", state, OLD)
            out(transaction, f"new-{state}", state, NOW)
        assert transaction.retention.prune_rows(100, PrunedKind.OUTBOX, OLDEST) == len(MessageState) - 2
        left = column(transaction, "SELECT id FROM outbox")
        assert left == {f"new-{state}" for state in MessageState} | {"old-queued", "old-sending"}
        assert transaction.outbox.by_key(BOT, "key-old-sent") is None
        assert transaction.outbox.by_key(BOT, "key-new-sent") is not None

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_a_late_message_is_still_known_when_it_comes_again(tmp_path: Path):
    def work(transaction: SqliteUnitOfWork) -> None:
        transaction.bots.insert(BotRow(BOT, "a", autostart=True, created_at=OLD))
        assert insert(transaction, received(1))
        transaction.retention.prune_rows(100, PrunedKind.MESSAGES, OLDEST)
        assert not insert(transaction, received(1))
        transaction.sql.execute("UPDATE messages SET stored_at = ?", (timestamps.to_ms(OLD),))
        transaction.retention.prune_rows(100, PrunedKind.MESSAGES, OLDEST)
        assert column(transaction, "SELECT whatsapp_id FROM messages") == set()

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_a_lot_goes_in_steps_by_index(tmp_path: Path):
    def work(transaction: SqliteUnitOfWork) -> None:
        transaction.bots.insert(BotRow(BOT, "a", autostart=True, created_at=OLD))
        for number in range(10):
            insert(transaction, received(number))
        transaction.sql.execute("UPDATE messages SET stored_at = 0")
        assert [transaction.retention.prune_rows(4, PrunedKind.MESSAGES, OLDEST) for _ in range(3)] == [4, 4, 2]
        assert column(transaction, "SELECT whatsapp_id FROM messages") == set()
        for step in retention._OLD.values():
            plan = " ".join(row[3] for row in transaction.sql.execute(f"EXPLAIN QUERY PLAN {step}", (0, 4)))
            assert "_at" in plan, plan

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_endpoints_that_have_everything_cost_nothing(tmp_path: Path):
    """Else each step of the pruning took longer the more there are, and did less."""
    statements: list[str] = []

    def work(transaction: SqliteUnitOfWork) -> None:
        transaction.bots.insert(BotRow(BOT, "a", autostart=True, created_at=OLD))
        events(transaction, *[40] * 20)
        for number in range(50):
            transaction.endpoints.insert(replace(SLOW, id=f"whk_{number}"), EndpointKeys("whsec_x"))
        transaction.sql.set_trace_callback(statements.append)
        assert transaction.retention.prune_events(100, transaction.journal.last_seq()) == 20
        transaction.sql.set_trace_callback(None)

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)
    assert len(statements) < 10, statements


@pytest.mark.parametrize(("kind", "others"), [("dead", "delivered"), ("delivered", "dead")])
async def test_old_deliveries_of_another_state_cost_nothing(tmp_path: Path, kind: str, others: str):
    """A receiver that refuses everything has dead deliveries by the million, which are kept for longer."""
    looks: list[None] = []

    def work(transaction: SqliteUnitOfWork) -> None:
        transaction.endpoints.insert(SLOW, EndpointKeys("whsec_x"))
        for seq in range(1000):
            transaction.delivery_queue.store(SLOW.id, [record(seq, DeliveryState(others))])
        transaction.delivery_queue.store(SLOW.id, [record(1000, DeliveryState(kind))])
        transaction.sql.execute("UPDATE deliveries SET at = ?", (timestamps.to_ms(OLD),))
        transaction.sql.set_progress_handler(lambda: looks.append(None), 100)
        assert transaction.retention.prune_rows(10, kind, OLDEST) == 1
        transaction.sql.set_progress_handler(None, 0)
        assert column(transaction, "SELECT state FROM deliveries") == {others}

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)
    assert len(looks) < 10, "100 instructions each"


SLOW = Endpoint("slow", "http://x", ("bot.*",), None, enabled=True, created_at=NOW)


def events(transaction: SqliteUnitOfWork, *ages: float) -> None:
    """One event for each of these ages in days."""
    for age in ages:
        event = transaction.journal.append(EventType.BOT_STATE, BOT, {"age": age})
        at = timestamps.to_ms(NOW - timedelta(days=age))
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
    def work(transaction: SqliteUnitOfWork) -> int:
        events(transaction, *ages)
        return transaction.journal.prune_point(OLDEST, NOW)

    async with Database.open(tmp_path / "db", KEYS) as database:
        assert await database.write(work) == point


async def test_what_an_endpoint_still_had_to_get_is_counted_and_told(tmp_path: Path):
    def work(transaction: SqliteUnitOfWork) -> None:
        sql = transaction.sql
        endpoints = (SLOW, replace(SLOW, id="off", enabled=False), replace(SLOW, id="other", events=("message.*",)))
        for endpoint in (*endpoints, replace(SLOW, id="far", bots=("b",)), replace(SLOW, id="quick")):
            transaction.endpoints.insert(endpoint, EndpointKeys("s"))
        events(transaction, *[40] * 8, *[0] * 2)
        transaction.endpoints.save_cursor("slow", 5)
        transaction.delivery_queue.store("slow", [record(seq, DeliveryState.FAILED) for seq in (2, 6, 9)])
        transaction.endpoints.save_cursor("quick", 10)
        point = transaction.journal.prune_point(OLDEST, NOW)
        assert [transaction.retention.prune_events(3, point) for _ in range(4)] == [3, 3, 2, 0]
        assert transaction.journal.floor() == 8
        assert column(transaction, "SELECT seq FROM journal") == {9, 10}
        assert column(transaction, "SELECT seq FROM deliveries") == {9}
        cursors = dict(sql.execute("SELECT id, cursor FROM endpoints"))
        assert cursors == {"slow": 8, "off": 8, "other": 8, "far": 8, "quick": 10}
        transaction.retention.tell_gaps()
        transaction.retention.tell_gaps()
        told, _ = transaction.journal.read(10, 10)
        assert [(event.type, event.bot, event.data) for event in told] == [
            ("webhook.gap", "", {"webhook": "slow", "from_seq": 2, "to_seq": 8, "count": 4})
        ]
        # Switched on again at last, having missed the rest too; and one that did not even get the news of its gap.
        sql.execute("UPDATE endpoints SET enabled = 1 WHERE id = 'off'")
        while transaction.retention.prune_events(3, 11):
            pass
        transaction.retention.tell_gaps()
        told, _ = transaction.journal.read(11, 10)
        assert [event.data for event in told] == [
            {"webhook": "off", "from_seq": 1, "to_seq": 10, "count": 10},
            {"webhook": "slow", "from_seq": 2, "to_seq": 10, "count": 6},
        ]

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)


async def test_records_of_deliveries_go_with_the_events_and_dead_letters_stay_longer(tmp_path: Path):
    def work(transaction: SqliteUnitOfWork) -> None:
        transaction.endpoints.insert(SLOW, EndpointKeys("s"))
        events(transaction, *[40] * 4)
        transaction.delivery_queue.store("slow", [record(1, DeliveryState.DELIVERED), record(2, DeliveryState.FAILED)])
        for seq in (3, 4):
            transaction.delivery_queue.bury("slow", record(seq, DeliveryState.DEAD), "{}")
        transaction.endpoints.save_cursor("slow", 4)
        transaction.delivery_log.replay("slow", [4])
        transaction.retention.prune_events(100, 4)
        assert column(transaction, "SELECT seq FROM deliveries") == {1, 3, 4}  # 4 is replayed, with its own event
        assert column(transaction, "SELECT count FROM webhook_gaps") == {1}
        transaction.sql.execute("UPDATE deliveries SET at = 0")
        transaction.sql.execute("UPDATE dead_letters SET at = 0 WHERE seq = 3")
        for kind in ("delivered", "dead", "dead_letters"):
            transaction.retention.prune_rows(100, kind, OLDEST)
        assert column(transaction, "SELECT seq FROM deliveries") == {4}
        assert transaction.delivery_queue.letter("slow", 3) is None
        assert transaction.delivery_queue.letter("slow", 4) == "{}"

    async with Database.open(tmp_path / "db", KEYS) as database:
        await database.write(work)
