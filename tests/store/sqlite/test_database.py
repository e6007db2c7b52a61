"""The database itself: group commit, isolation, migrations, the lock, and kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.harness.keys import KEYS
from zapwire.model.bots import BotId
from zapwire.model.errors import NotFound, StoreError
from zapwire.model.events import EventType
from zapwire.store.sqlite import database as db
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.sealed_values import SealedConnection
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

BOT = BotId("a")


def note(transaction: SqliteUnitOfWork, number: int) -> None:
    transaction.journal.append(EventType.BOT_STATE, BOT, {"number": number})


async def numbers(database: Database) -> list[int]:
    events, _ = await database.read(lambda sql: sql.journal.read(0, 10_000))
    return [event.data["number"] for event in events]


async def test_many_writes_are_one_commit(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        commits: list[str] = []
        await database.write(
            lambda transaction: transaction.sql.set_trace_callback(
                lambda statement: commits.append(statement) if statement == "COMMIT" else None
            )
        )
        commits.clear()
        await asyncio.gather(*(database.write(lambda t, n=number: note(t, n)) for number in range(200)))
        assert await numbers(database) == list(range(200))
        assert len(commits) <= 3
        await database.write(lambda transaction: transaction.sql.set_trace_callback(None))


async def test_a_write_that_raises_undoes_only_itself_and_tells_nothing(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:

        def bad(transaction: SqliteUnitOfWork) -> None:
            note(transaction, 99)
            raise NotFound("no")

        def wrong(transaction: SqliteUnitOfWork) -> None:
            transaction.sql.execute("INSERT INTO nowhere VALUES (1)")

        works = [lambda t: note(t, 1), bad, wrong, lambda t: note(t, 2)]
        results = await asyncio.gather(*(database.write(work) for work in works), return_exceptions=True)
        assert [type(result) for result in results] == [type(None), NotFound, StoreError, type(None)]
        assert await numbers(database) == [1, 2]
        assert [event.data["number"] for event in database.tail.after(0) or []] == [1, 2]


async def test_nothing_is_told_when_the_commit_fails(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:

        def doomed(transaction: SqliteUnitOfWork) -> None:
            note(transaction, 1)
            transaction.sql.execute("PRAGMA defer_foreign_keys = ON")
            transaction.sql.execute("INSERT INTO person_addresses VALUES ('nobody', x'00', 'p', 0)")

        wake = database.tail.wake
        with pytest.raises(StoreError):
            await database.write(doomed)
        assert await numbers(database) == []
        assert not wake.is_set()
        await database.write(lambda t: note(t, 2))
        assert wake.is_set()
        assert await numbers(database) == [2]


async def test_a_raising_follow_up_costs_nobody_anything(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(10):
        followed: list[str] = []

        def work(transaction: SqliteUnitOfWork) -> str:
            note(transaction, 1)
            transaction.after_commit.append(lambda: 1 / 0)
            transaction.after_commit.append(lambda: followed.append("the next"))
            return "committed"

        both = await asyncio.gather(database.write(work), database.write(lambda t: note(t, 2)))
        assert both == ["committed", None]
        assert followed == ["the next"]
        assert "ZeroDivisionError" in caplog.text
        await database.write(lambda t: note(t, 3))
        assert await numbers(database) == [1, 2, 3]
        assert [event.data["number"] for event in database.tail.after(0) or []] == [1, 2, 3]


async def test_a_writer_that_fails_by_our_mistake_refuses_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(10):
        with monkeypatch.context() as patch:
            patch.setattr(db, "_answer", lambda jobs, outcomes: 1 / 0)
            with pytest.raises(StoreError, match="writer failed"):
                await database.write(lambda t: note(t, 1))
        assert "the database's writer failed; restarting it" in caplog.text
        await database.write(lambda t: note(t, 2))
        assert await numbers(database) == [1, 2]


async def test_a_writer_that_is_gone_leaves_nobody_waiting(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(10):
        [writer] = [task for task in asyncio.all_tasks() if task.get_name() == "store-writer"]
        held, going = threading.Event(), threading.Event()

        def hold(_: SqliteUnitOfWork) -> None:
            going.set()
            held.wait(10)

        waiting = [asyncio.ensure_future(database.write(hold))]
        await asyncio.to_thread(going.wait, 10)
        waiting += [asyncio.ensure_future(database.write(lambda t: note(t, 1))) for _ in range(5)]
        await asyncio.sleep(0)  # they stand in the queue
        writer.cancel()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(result) for result in results} == {StoreError}
        held.set()
        with pytest.raises(StoreError, match="closed"):
            await database.write(lambda t: note(t, 2))


async def test_a_long_read_holds_up_neither_another_nor_a_look_up(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database, asyncio.timeout(10):
        await database.write(lambda t: note(t, 1))
        loop, others = (
            asyncio.get_running_loop(),
            [numbers, lambda at: at.look_up(lambda unit: unit.journal.last_seq())],
        )

        def long(_: SealedConnection) -> list[object]:
            """Ends only when the others have."""
            return [asyncio.run_coroutine_threadsafe(other(database), loop).result(5) for other in others]

        assert await database.read(long) == [[1], 1]


async def test_a_read_sees_one_state_of_the_database(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        for number in range(10):
            await database.write(lambda t, n=number: note(t, n))
        loop = asyncio.get_running_loop()

        def look(sql: SealedConnection) -> tuple[int, int]:
            floor = sql.journal.floor()
            pruned = database.write(lambda t: t.journal.prune(6))
            asyncio.run_coroutine_threadsafe(pruned, loop).result(5)
            found, _ = sql.journal.read(floor, 1)
            return floor, found[0].seq

        assert await database.read(look) == (0, 1)
        assert await database.read(lambda unit: unit.journal.floor()) == 6


async def test_a_reader_sees_only_what_is_committed_and_cannot_write(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        loop = asyncio.get_running_loop()

        def work(transaction: SqliteUnitOfWork) -> list[int]:
            note(transaction, 1)
            return asyncio.run_coroutine_threadsafe(numbers(database), loop).result(5)

        assert await database.write(work) == []
        assert await numbers(database) == [1]
        with pytest.raises(StoreError, match="readonly"):
            await database.read(lambda sql: sql.sql.execute("DELETE FROM journal"))


async def test_the_file_is_the_owners_and_power_loss_safe(tmp_path: Path):
    path = tmp_path / "deep" / "db"
    async with Database.open(path, KEYS) as database:
        await database.write(lambda t: note(t, 1))
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        pragmas = await database.write(
            lambda t: [t.sql.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        )
        assert pragmas == ["wal", 2]
    with pytest.raises(StoreError, match="closed"):
        await database.write(lambda t: note(t, 2))


async def test_two_daemons_cannot_use_one_database_but_the_command_line_may_help(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        with pytest.raises(StoreError, match="another zapwire daemon"):
            async with Database.open(tmp_path / "db", KEYS):
                pass
        async with Database.open(tmp_path / "db", KEYS, shared=True) as beside:
            await beside.write(lambda t: t.sql.execute("INSERT INTO tokens VALUES ('t', 'n', x'00', 0, NULL, x'')"))
        rows = await database.read(lambda sql: sql.sql.execute("SELECT name FROM tokens").fetchall())
        assert rows == [("n",)]
    async with Database.open(tmp_path / "db", KEYS):
        pass


async def test_a_second_daemon_is_kept_away_though_the_lock_file_was_deleted(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        (tmp_path / "db.lock").unlink()
        with pytest.raises(StoreError, match="another zapwire daemon"):
            async with Database.open(tmp_path / "db", KEYS):
                pass
        code = (
            "import asyncio, sys; from tests.store.sqlite.test_database import open_once; "
            "asyncio.run(open_once(sys.argv[1], shared=sys.argv[2] == 'shared'))"
        )

        async def other(mode: str) -> str:
            """What another process gets."""
            run = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", code, str(tmp_path / "db"), mode),
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            return (await run.communicate())[0].decode()

        assert await other("shared") == ""
        await database.write(lambda t: note(t, 1))
        (tmp_path / "db.lock").unlink(missing_ok=True)
        assert "another zapwire daemon" in await other("alone")
        await database.write(lambda t: note(t, 2))
        assert await numbers(database) == [1, 2]
    assert await other("alone") == ""


async def open_once(path: str, *, shared: bool) -> None:
    """Open and close a database, in a process of its own."""
    async with Database.open(Path(path), KEYS, shared=shared) as database:
        await database.write(lambda t: t.sql.execute("UPDATE vault SET one = one"))


async def test_a_newer_or_broken_database_is_refused_in_words(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS):
        pass
    with sqlite3.connect(tmp_path / "db") as sql:
        sql.execute("PRAGMA user_version = 99")
    sql.close()
    with pytest.raises(StoreError, match="schema 99, but this zapwire knows only up to"):
        async with Database.open(tmp_path / "db", KEYS):
            pass
    (tmp_path / "junk").write_bytes(b"this is no database" * 100)
    with pytest.raises(StoreError, match="not a database"):
        async with Database.open(tmp_path / "junk", KEYS):
            pass
    with pytest.raises(StoreError, match="cannot use the database"):
        async with Database.open(tmp_path, KEYS):
            pass


async def test_numbers_are_never_used_again_and_cursors_move_past_others(tmp_path: Path):
    async with Database.open(tmp_path / "db", KEYS) as database:
        for number in range(10):
            await database.write(lambda t, n=number: note(t, n))
        await database.write(lambda t: t.journal.prune(6))
        assert await numbers(database) == [6, 7, 8, 9]
        await database.write(lambda t: t.journal.prune(10))
    async with Database.open(tmp_path / "db", KEYS) as database:
        assert database.tail.last_seq == 10
        await database.write(lambda t: note(t, 10))
        read = await database.read(lambda sql: sql.journal.read(0, 5))
        assert ([event.seq for event in read[0]], read[1]) == ([11], 11)
        assert await database.read(lambda sql: sql.journal.read(0, 5, bots=["b"])) == ([], 11)
        assert await database.read(lambda sql: sql.journal.read(0, 5, types=[])) == ([], 11)
        assert await database.read(lambda sql: sql.journal.read(50, 5)) == ([], 50)


WRITER = """
import asyncio, sys
from pathlib import Path
from zapwire.model.events import EventType
from zapwire.store.sqlite.database import Database
from zapwire.vault.keys import KeyRing, MasterKey

KEYS = KeyRing(MasterKey(bytes(range(32))))

async def main():
    async with Database.open(Path(sys.argv[1]), KEYS) as database:
        async def one(lane):
            for number in range(100000):
                data = {"lane": lane, "number": number}
                await database.write(lambda t: t.journal.append(EventType.BOT_STATE, "a", data))
                print(lane, number, flush=True)
        await asyncio.gather(*(one(lane) for lane in range(5)))

asyncio.run(main())
"""


async def test_what_was_answered_is_there_after_kill_9(tmp_path: Path):
    with subprocess.Popen(  # noqa: ASYNC220 - blocks for milliseconds, on purpose
        [sys.executable, "-c", WRITER, str(tmp_path / "db")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        answered = [process.stdout.readline() for _ in range(300)]
        os.kill(process.pid, signal.SIGKILL)
        answered += [line for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")]
    async with Database.open(tmp_path / "db", KEYS) as database:
        events, _ = await database.read(lambda sql: sql.journal.read(0, 100_000))
    stored = [(event.data["lane"], event.data["number"]) for event in events]
    told = {tuple(int(word) for word in line.split()) for line in answered}
    assert len(told) >= 300
    assert told <= set(stored)
    assert len(stored) - len(told) <= 5
    for lane in range(5):
        mine = [number for owner, number in stored if owner == lane]
        assert mine == list(range(len(mine)))
