"""`python -m tests.vault.rotating FOLDER make|rotate|check [STEP]`: an installation whose key changes, in a process
that can be killed at a step.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

from zapwire.maintenance import key_rotation, master_key
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.settings import Settings
from zapwire.store.sqlite import encryption
from zapwire.store.sqlite.migrations import prepare
from zapwire.store.sqlite.sealed_values import connect
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.vfs import Vfs

BOTS = ("a", "b", "c")


def make(settings: Settings) -> None:
    keys = master_key.unlock(settings).keys
    (settings.sessions_dir / "bots").mkdir()
    for bot in BOTS:
        database = SealedDatabase(settings.sessions_dir / "bots" / f"{bot}.db", Vfs.of(library_path()), keys)
        database.create()
        with database.connect() as connection:
            connection.run("CREATE TABLE t (text TEXT)")
            for number in range(50):
                connection.run("INSERT INTO t VALUES (?)", f"{bot} {number} " + "x" * 500)
        database.close()
    with closing(connect(settings.database_file)) as sql:
        prepare(keys, sql)
        for bot in BOTS:
            SqliteUnitOfWork(sql).bots.insert(BotRow(BotId(bot), bot, autostart=True, created_at=timestamps.now()))


def rotate(settings: Settings, die_at: int) -> None:
    steps = iter(range(1000))

    def step(_: str) -> None:
        if next(steps) == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    report = key_rotation.rotate(settings, library_path(), step)
    assert report.left == []


def check(settings: Settings) -> None:
    source = master_key.find(settings)
    assert source is not None
    for bot in BOTS:
        database = SealedDatabase(settings.sessions_dir / "bots" / f"{bot}.db", Vfs.of(library_path()), source.keys)
        rows = database.query("SELECT text FROM t ORDER BY rowid")
        assert [str(row[0])[:4].strip() for row in rows] == [f"{bot} {number}"[:4].strip() for number in range(50)]
        database.close()
    with closing(connect(settings.database_file)) as sql:
        prepare(source.keys, sql)
        assert [row.name for row in SqliteUnitOfWork(sql).bots.all_bots()] == list(BOTS)
        assert list(encryption.verify(sql, encryption.choose(sql, source.keys))) == []


def main() -> None:
    folder, what, *rest = sys.argv[1:]
    settings = Settings(sessions_dir=Path(folder))
    if what == "make":
        make(settings)
    elif what == "check":
        check(settings)
    else:
        rotate(settings, int(rest[0]) if rest else -1)


if __name__ == "__main__":
    main()
