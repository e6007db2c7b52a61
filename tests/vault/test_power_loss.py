"""Power cuts at any moment: with synchronous=FULL nothing that was acknowledged is lost, and the file always opens."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from tests.vault.conftest import Make
from tests.vault.disk import Recorder, Truncate, after_power_loss
from zapwire.vault import sealed_files
from zapwire.vault.keys import Damaged
from zapwire.vault.vfs import Vfs


def data(number: int, size: int) -> bytes:
    return (hashlib.sha256(b"%d" % number).digest() * (size // 32 + 1))[:size]


def record(vfs: Vfs, at: Make, chance: random.Random) -> tuple[bytes, list[Any]]:
    """The empty file, and what 260 transactions did to it: spilling, checkpoints, deletions, VACUUM."""
    database = at("recorded.db")
    database.create()
    start = database.path.read_bytes()
    with database.connect() as connection:
        for option in ("synchronous=FULL", "cache_size=8"):
            connection.run(f"PRAGMA {option}")
        connection.run("SELECT * FROM sqlite_master")  # opens the WAL, so that it is recorded
        connection.run("PRAGMA wal_autocheckpoint=25")
        with Recorder(vfs) as disk:
            connection.run("CREATE TABLE log (number INTEGER PRIMARY KEY, size INTEGER, data BLOB)")
            disk.acknowledge(0)
            number = 0
            for _ in range(260):
                connection.run("BEGIN")
                for _ in range(chance.choice([1, 1, 1, 8])):
                    number += 1
                    size = chance.choice([100, 1500, 9000])
                    connection.run("INSERT INTO log VALUES (?, ?, ?)", number, size, data(number, size))
                    connection.run("UPDATE log SET data = data WHERE number > ?", number - 3)
                connection.run("COMMIT")
                disk.acknowledge(number)
                if chance.random() < 0.08:
                    connection.run("DELETE FROM log WHERE number <= ?", number - 30)
                if chance.random() < 0.02:
                    connection.run("VACUUM")
    database.destroy()
    return start, disk.log


def damage(at: Make, content: bytes, wal: bytes, acknowledged: int) -> tuple[str | None, bool]:
    """What is wrong with such a disk, and whether its first page was mended."""
    database = at("recorded.db")  # a file opens under the name it was made for only
    database.path.write_bytes(content)
    sealed_files.wal_of(database.path).write_bytes(wal)
    try:
        torn = sealed_files.unlock(database.path, database._ring).torn
        if database.query("PRAGMA integrity_check") != [("ok",)]:
            return "not whole", torn
        there = database.query("SELECT 1 FROM sqlite_master")
        rows = database.query("SELECT number, size, data FROM log ORDER BY number") if there else []
    except Damaged as error:
        return f"does not open: {error}", False
    finally:
        database._forget()
        database._lock.release()
        for path in (database.path, sealed_files.wal_of(database.path)):
            path.unlink(missing_ok=True)
    if any(row[2] != data(row[0], row[1]) for row in rows):
        return "wrong data", torn
    numbers = [row[0] for row in rows]
    if numbers and numbers != list(range(numbers[0], numbers[-1] + 1)):
        return "gaps", torn
    return ("lost commits" if max(numbers, default=0) < acknowledged else None), torn


@pytest.mark.parametrize(
    ("seeds", "states"),
    [(1, 250), pytest.param(12, 250, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
    ids=["ci", "soak"],
)
def test_a_power_cut_loses_nothing_and_the_file_opens(vfs: Vfs, at: Make, seeds: int, states: int):
    mended = 0
    for seed in range(seeds):
        chance = random.Random(seed)
        start, log = record(vfs, at, chance)
        assert any(isinstance(entry, Truncate) for entry in log)
        for state in range(states):
            problem, torn = damage(at, *after_power_loss(log, start, chance))
            assert problem is None, f"seed {seed}, state {state}: {problem}"
            mended += torn
    print(f"{seeds * states} power cuts, nothing lost, {mended} torn first pages mended")
    assert mended, "then the worst case was not among them"


def test_on_a_disk_that_does_not_sync_the_same_cuts_do_damage(vfs: Vfs, at: Make):
    """The test above can fail."""
    chance = random.Random(0)
    start, log = record(vfs, at, chance)
    problems = [damage(at, *after_power_loss(log, start, chance, syncs_work=False))[0] for _ in range(60)]
    assert "lost commits" in problems
    assert any(problem and "open" in problem for problem in problems)
