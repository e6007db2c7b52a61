"""What it takes to fetch history later: sealed, bounded, and of the present account only."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.core.messages import inbox
from zapwire.model.bots import BotId
from zapwire.store.ordered_writes import OrderedWrites
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.repositories import history_notices
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.transport.protocol import HistoryOffered

SHOP, BAR = BotId("shop"), BotId("bar")
MOMENT = datetime(2026, 1, 31, tzinfo=UTC)
SECRET = b"the key of a year of messages"


@pytest.fixture
async def database(tmp_path: Path):
    async with Database.open(tmp_path / "zapwire.db", KEYS) as opened:
        await opened.write(
            lambda transaction: transaction.sql.executemany(
                "INSERT INTO bots (id, autostart, created_at) VALUES (?, 1, 0)",
                [(SHOP,), (BAR,)],
            )
        )
        yield opened


async def offer(database: Database, bot: BotId, number: str, notice: bytes = SECRET) -> None:
    await inbox.history(OrderedWrites(database, "bot", 0.01), bot, HistoryOffered(number, MOMENT, notice))


async def kept(database: Database, bot: BotId) -> list[bytes]:
    return await database.read(lambda sql: sql.history_notices.of(bot))


async def test_notices_are_kept_once_in_order_and_sealed(database: Database, tmp_path: Path):
    await offer(database, SHOP, "A", b"one" + SECRET)
    await offer(database, SHOP, "B", b"two")
    await offer(database, SHOP, "A", b"again")
    await offer(database, BAR, "A", b"of another bot")
    assert await kept(database, SHOP) == [b"one" + SECRET, b"two"]
    assert await kept(database, BAR) == [b"of another bot"]
    assert not any(SECRET in file.read_bytes() for file in tmp_path.iterdir())


async def test_the_oldest_make_room(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history_notices, "KEPT", 3)
    await offer(database, BAR, "A")
    for number in range(5):
        await offer(database, SHOP, str(number), b"%d" % number)
    assert await kept(database, SHOP) == [b"2", b"3", b"4"]
    assert len(await kept(database, BAR)) == 1


async def test_those_of_an_account_that_was_lost_count_for_nothing_and_go(database: Database):
    def lose(transaction: SqliteUnitOfWork) -> None:
        transaction.sql.execute("UPDATE bots SET account = account + 1 WHERE id = 'shop'")

    def count(transaction: SqliteUnitOfWork) -> int:
        return int(transaction.sql.execute("SELECT count(*) FROM history_notices").fetchone()[0])

    await offer(database, SHOP, "A")
    await database.write(lose)
    assert await kept(database, SHOP) == []
    await offer(database, SHOP, "A", b"of the next account")
    assert await kept(database, SHOP) == [b"of the next account"]
    assert await database.write(count) == 1


async def test_a_deleted_bot_and_an_unknown_one_have_none(database: Database):
    await offer(database, SHOP, "A")
    await offer(database, BotId("nobody"), "A")
    await database.write(lambda transaction: transaction.sql.execute("DELETE FROM bots WHERE id = 'shop'"))
    assert await kept(database, SHOP) == []
    assert await database.read(lambda sql: sql.sql.execute("SELECT count(*) FROM history_notices").fetchone()[0]) == 0


async def test_one_that_does_not_open_costs_no_other(database: Database):
    for number in "ABC":
        await offer(database, SHOP, number, number.encode())
    await database.write(
        lambda transaction: transaction.sql.execute(
            "UPDATE history_notices SET notice = randomblob(90) WHERE whatsapp_id = 'B'"
        )
    )
    assert await kept(database, SHOP) == [b"A", b"C"]
