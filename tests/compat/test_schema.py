"""The database of an older zapwire goes through every step of the schema that it has not seen, and loses nothing."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.model.bots import BotId
from zapwire.store.sqlite import migrations
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.sealed_values import SealedConnection, connect

STEPS = dict(migrations._migrations())
NEWER = [number for number in sorted(STEPS) if number > 17]  # what the archive was made with


def rows(sql: SealedConnection) -> dict[str, int]:
    tables = sql.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
    return {table: int(sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for (table,) in tables}


@pytest.mark.parametrize("newest", NEWER)
def test_each_step(database: Path, newest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {number: script for number, script in STEPS.items() if number <= newest}
    monkeypatch.setattr(migrations, "_migrations", lambda: iter(seen.items()))
    with closing(connect(database)) as sql:
        assert sql.execute("PRAGMA user_version").fetchone()[0] == 17
        before = rows(sql)
        assert {"bots", "messages", "journal", "outbox", "tokens"} <= {
            table for table, count in before.items() if count
        }
        migrations.prepare(KEYS, sql)
        assert sql.execute("PRAGMA user_version").fetchone()[0] == newest
        after = rows(sql)
        assert {table: after.get(table) for table in before} == before
        assert sql.execute("PRAGMA foreign_key_check").fetchall() == []
        assert sql.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_it_opens(database: Path) -> None:
    async with Database.open(database, KEYS) as opened:
        bots = await opened.write(lambda unit: unit.bots.all_bots())
        waiting = await opened.write(lambda unit: unit.outbox.waiting(BotId("desk")))
    assert {bot.id for bot in bots} == {"shop", "desk", "left", "never-linked"}
    assert len(waiting) == 1
