"""The daemon's one SQLite file: one writer with group commit, one reader, numbered migrations.

A write is a function of a `Transaction`. All writes queue up for one task; it takes whatever waits, runs each function
under a savepoint of its own inside one `BEGIN IMMEDIATE` transaction, commits once, and only then answers the callers.
So a function that raises undoes only its own work, and a burst of writes costs one fsync instead of one each. Nobody
is answered, and no event is told, before the commit is on the disk (`synchronous=FULL`).

Reads go to a second connection that cannot write and that sees only what is committed. A cancelled caller does not
undo its write: a write that has begun is committed.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, Generic, TypeVar

import aiosqlite

from zapwire.errors import StoreError
from zapwire.events import Event
from zapwire.measures import Timing
from zapwire.store import sealing
from zapwire.store.tail import Tail
from zapwire.vault.keys import KeyRing

T = TypeVar("T")

BUSY_TIMEOUT = 5.0
"""Seconds to wait for the command line's short writes (`zapwire token create`) to the same file."""
BATCH = 256
"""Most writes in one commit: bounds how long the first of them waits for the last."""
_FIRST_SEALED = 3
"""Schema from which on columns are sealed."""
_TO_SCOUR = 0x7363
"""The `application_id` of a database in whose free pages and WAL something readable may be."""
QUEUE = 2048
"""Most writes that wait; beyond it callers wait for a place."""


class Transaction:
    """What a write function works on."""

    __slots__ = ("sql", "then", "told")

    def __init__(self, sql: sqlite3.Connection) -> None:
        self.sql = sql
        self.told: list[Event] = []
        """Journal entries to publish once this is committed."""
        self.then: list[Callable[[], None]] = []
        """What to do on the event loop once this is committed and before it is published: whoever hears of an event
        and asks finds memory up to date. Must not raise."""


def beat(transaction: Transaction) -> None:
    """Write something that changes nothing: an empty transaction commits on a full disk, too."""
    transaction.sql.execute("UPDATE vault SET one = one")


class _Connection(aiosqlite.Connection):
    """aiosqlite's connection thread, entered once per function instead of once per statement."""

    async def call(self, function: Callable[[sqlite3.Connection], T]) -> T:
        result: T = await self._execute(function, self._conn)  # type: ignore[no-untyped-call]
        return result


class _Job(Generic[T]):
    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[Transaction], T], future: asyncio.Future[T]) -> None:
        self.work = work
        self.future = future


class Database:
    """The open database; made by `open`."""

    def __init__(self, writer: _Connection, reader: _Connection, tail: Tail) -> None:
        self._writer = writer
        self._reader = reader
        self._queue: asyncio.Queue[_Job[Any] | None] = asyncio.Queue(QUEUE)
        self._closing = False
        self.commits = Timing()
        """Each with all writes that it held."""
        self.writes = 0
        self.tail = tail

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, keys: KeyRing | None, *, shared: bool = False) -> AsyncIterator[Database]:
        """Open or make the database at *path*, bring its schema up to date, and close it at the end.

        Only one process may have it open, except with *shared*, which is for short work of the command line beside a
        running daemon. Without *keys* no sealed column can be used, and nothing is brought up to date. Raises
        `StoreError` when another daemon has it, when it is sealed with another key or comes from a newer program, or
        when it cannot be used at all.
        """
        with errors(path), files(path, shared=shared):
            async with _connect(path) as writer, _connect(path) as reader:
                last_seq = await writer.call(partial(prepare, keys))
                await reader.call(partial(_prepare_reader, keys))
                database = cls(writer, reader, Tail(last_seq))
                task = asyncio.create_task(database._write_all(), name="store-writer")
                try:
                    yield database
                finally:
                    database._closing = True
                    await database._queue.put(None)
                    await task

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run *work* in a transaction; returns its result once that is committed.

        What *work* raises undoes only its own changes and is raised here. Database errors become `StoreError`.
        """
        if self._closing:
            raise StoreError("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Job(work, future))
        return await future

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run *work* on the reading connection, which sees all that is committed."""
        try:
            return await self._reader.call(work)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the database: {error}") from error

    async def _write_all(self) -> None:
        last = False
        while not last:
            jobs, last = await self._take()
            if not jobs:
                continue
            began = time.monotonic()
            try:
                outcomes, done = await self._writer.call(partial(_run, jobs))
            except Exception as error:  # noqa: BLE001 - whatever it was, the callers are told and the next may work
                _refuse(jobs, StoreError(f"cannot write the database: {error}"))
                continue
            self.commits.add(time.monotonic() - began)
            self.writes += len(jobs)
            for step in done.then:
                step()
            self.tail.publish(done.told)
            _answer(jobs, outcomes)

    async def _take(self) -> tuple[list[_Job[Any]], bool]:
        """Wait for one job, and take with it what else is there. Also: was that the last."""
        jobs: list[_Job[Any]] = []
        job = await self._queue.get()
        while job is not None:
            if not job.future.cancelled():
                jobs.append(job)
            if len(jobs) >= BATCH or self._queue.empty():
                return jobs, False
            job = self._queue.get_nowait()
        return jobs, True


class _Failure:
    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _run(jobs: list[_Job[Any]], sql: sqlite3.Connection) -> tuple[list[Any], Transaction]:
    """Run *jobs* in one transaction; in the connection's thread."""
    transaction = Transaction(sql)
    sql.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_run_one(transaction, job) for job in jobs]
        sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise
    return outcomes, transaction


def _run_one(transaction: Transaction, job: _Job[Any]) -> Any:
    sql, told, then = transaction.sql, len(transaction.told), len(transaction.then)
    sql.execute("SAVEPOINT job")
    try:
        result = job.work(transaction)
    except Exception as error:
        if not sql.in_transaction:  # a full disk or an I/O error ends the whole transaction, not only the savepoint
            raise
        sql.execute("ROLLBACK TO job")
        sql.execute("RELEASE job")
        del transaction.told[told:], transaction.then[then:]
        return _Failure(error)  # kept with its traceback and raised at the caller's
    sql.execute("RELEASE job")
    return result


def _answer(jobs: list[_Job[Any]], outcomes: list[Any]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.future.done():
            continue
        if not isinstance(outcome, _Failure):
            job.future.set_result(outcome)
        elif isinstance(outcome.error, sqlite3.Error):
            job.future.set_exception(StoreError(f"cannot write the database: {outcome.error}"))
        else:
            job.future.set_exception(outcome.error)


def _refuse(jobs: list[_Job[Any]], error: StoreError) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)


@asynccontextmanager
async def _connect(path: Path) -> AsyncIterator[_Connection]:
    def connector() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=BUSY_TIMEOUT, isolation_level=None, cached_statements=256)

    connection = _Connection(connector, 64)
    async with connection:
        yield connection


def prepare(keys: KeyRing | None, sql: sqlite3.Connection) -> int:
    """Make a new connection fit for writing: durability, sealing, schema. Returns the last number in the journal."""
    sql.execute("PRAGMA journal_mode = WAL")
    sql.execute("PRAGMA synchronous = FULL")
    found = int(sql.execute("PRAGMA user_version").fetchone()[0])
    if keys is not None:
        sealing.install(sql, sealing.choose(sql, keys))
        if 0 < found < _FIRST_SEALED:
            sql.execute(f"PRAGMA application_id = {_TO_SCOUR}")  # so that it is done even after a crash
    _migrate(sql, able=keys is not None)
    if keys is not None and int(sql.execute("PRAGMA application_id").fetchone()[0]) == _TO_SCOUR and scour(sql):
        sql.execute("PRAGMA application_id = 0")
    sql.execute("PRAGMA foreign_keys = ON")  # not before: a migration that makes a table anew would empty others
    row = sql.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    return int(row[0]) if row else 0


def _prepare_reader(keys: KeyRing | None, sql: sqlite3.Connection) -> None:
    if keys is not None:
        sealing.install(sql, sealing.choose(sql, keys))
    sql.execute("PRAGMA query_only = ON")


def scour(sql: sqlite3.Connection) -> bool:
    """Leave nothing in free pages and in the WAL of what has just been sealed or deleted; False when somebody who reads
    kept the WAL.
    """
    sql.execute("VACUUM")
    return int(sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]) == 0


def _migrate(sql: sqlite3.Connection, *, able: bool) -> None:
    """Apply the schema files that the database has not seen, each in a transaction of its own, if we are *able* to."""
    steps = sorted(_migrations())
    found, newest = int(sql.execute("PRAGMA user_version").fetchone()[0]), steps[-1][0]
    if found < newest and not able:
        raise StoreError("the database comes from an older zapwire: start the daemon once, which brings it up to date")
    for number, script in steps:
        sql.execute("BEGIN IMMEDIATE")  # another process may be doing the same
        try:
            if int(sql.execute("PRAGMA user_version").fetchone()[0]) < number:
                for statement in _statements(script):
                    sql.execute(statement)
                sql.execute(f"PRAGMA user_version = {number}")
            sql.execute("COMMIT")
        except BaseException:
            sql.execute("ROLLBACK")
            raise
    if found > newest:
        raise StoreError(
            f"the database has schema {found}, but this zapwire knows only up to {newest}: "
            "start the newer zapwire, or give another database"
        )


def _migrations() -> Iterator[tuple[int, str]]:
    for file in resources.files("zapwire.store").joinpath("schema").iterdir():
        if file.name.endswith(".sql"):
            yield int(file.name.split("-")[0]), file.read_text("utf-8")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


@contextmanager
def files(path: Path, *, shared: bool) -> Iterator[None]:
    """Make the file readable by its owner only, and hold the lock beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)
    if shared:
        yield
        return
    lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another zapwire daemon uses the database {path}: stop it, or give this one another database"
            ) from None
        yield
    finally:
        os.close(lock)


@contextmanager
def errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say about the database at *path* into `StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot use the database {path}: {error}") from error
    except OSError as error:
        if str(error.filename or "").startswith(str(path)) or error.filename == str(path.parent):
            raise StoreError(f"cannot use the database {path}: {error.strerror}") from error
        raise
