"""A process that writes into sealed databases until it is killed: `python -m tests.vault.writer DATABASE MASTER`.

Four threads, synchronous=FULL, caches so small that transactions spill into the WAL, checkpoints, rollbacks, VACUUM.
Prints `thread number` after each commit has returned.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import threading
from pathlib import Path

from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.keys import KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sqlite import EngineConnection, SqliteError
from zapwire.vault.vfs import Vfs

THREADS = 4
SCHEMA = (
    "CREATE TABLE IF NOT EXISTS log (thread INT, number INT, size INT, data BLOB, PRIMARY KEY (thread, number))",
    "CREATE TABLE IF NOT EXISTS session (thread INTEGER PRIMARY KEY, number INTEGER, data BLOB)",
)


def data(thread: int, number: int, size: int) -> bytes:
    piece = hashlib.sha256(b"%d:%d" % (thread, number)).digest()
    return (piece * (size // 32 + 1))[:size]


def work(database: SealedDatabase, thread: int) -> None:
    chance = random.Random()
    with database.connect() as connection:
        connection.run("PRAGMA busy_timeout=60000")
        connection.run("PRAGMA synchronous=FULL")
        connection.run(f"PRAGMA wal_autocheckpoint={chance.choice([20, 60, 1000])}")
        if thread % 2:
            connection.run(f"PRAGMA cache_size={chance.choice([5, 12])}")
        [(number,)] = connection.run("SELECT coalesce(max(number), 0) FROM session WHERE thread = ?", thread)
        while True:
            number = _transaction(connection, chance, thread, int(number))


def _transaction(connection: EngineConnection, chance: random.Random, thread: int, number: int) -> int:
    rows = chance.choice([1, 1, 1, 1, 5, 60]) if thread % 2 else 1
    connection.run("BEGIN IMMEDIATE")
    for each in range(number + 1, number + rows + 1):
        size = chance.choice([100, 1500, 9000])
        connection.run("INSERT INTO log VALUES (?, ?, ?, ?)", thread, each, size, data(thread, each, size))
        connection.run("INSERT OR REPLACE INTO session VALUES (?, ?, ?)", thread, each, data(thread, each, 1500))
    if chance.random() < 0.05:
        connection.run("ROLLBACK")
        return number
    connection.run("COMMIT")
    os.write(1, b"%d %d\n" % (thread, number + rows))
    if chance.random() < 0.02:
        connection.run("DELETE FROM log WHERE thread = ? AND number < ?", thread, number - 40)
    if chance.random() < 0.004:
        try:
            connection.run("VACUUM")
        except SqliteError as error:
            if "locked" not in str(error):
                raise
    return number + rows


def main() -> None:
    ring = KeyRing(MasterKey(bytes.fromhex(sys.argv[2])))
    database = SealedDatabase(Path(sys.argv[1]), Vfs.of(library_path()), ring)
    database.open()
    for statement in SCHEMA:
        database.query(statement)
    threads = [threading.Thread(target=work, args=(database, number)) for number in range(THREADS)]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main()
