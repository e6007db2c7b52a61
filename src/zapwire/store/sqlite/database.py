"""The daemon's one SQLite file: one writer with group commit, a few readers.

A write is a function of a `UnitOfWork`. All writes queue up for one task; it takes whatever waits, runs each function
under a savepoint of its own inside one `BEGIN IMMEDIATE` transaction, commits once, and only then answers the callers.
So a function that raises undoes only its own work, and a burst of writes costs one fsync instead of one each. Nobody
is answered, and no event is emitted, before the commit is on the disk (`synchronous=FULL`).

Reads go to other connections, which cannot write and see only what is committed. A cancelled caller does not undo its
write: a write that has begun is committed. What is deleted is hidden at once, and goes a little at a time in the
background (`store/sqlite/purge.py`).
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from zapwire.model.errors import StoreError, Unstorable
from zapwire.runtime.instruments import Timing
from zapwire.runtime.tasks import spawn, supervise
from zapwire.store.journal_tail import JournalTail
from zapwire.store.sqlite.connections import ConnectionThread, Readers
from zapwire.store.sqlite.file import errors, files
from zapwire.store.sqlite.migrations import prepare
from zapwire.store.sqlite.purge import Purger
from zapwire.store.sqlite.sealed_values import DamageLog, SealedConnection
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.vault.keys import KeyRing

log = logging.getLogger(__name__)
T = TypeVar("T")

BATCH = 256
"""Most writes in one commit: bounds how long the first of them waits for the last."""
QUEUE = 2048
"""Most writes that wait; beyond it callers wait for a place."""
WRITER_AGAIN = 0.1
"""Seconds until a writer that failed by an internal error goes on."""


_REFUSALS = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.InterfaceError)
"""Errors of values: of their types, their size, or a constraint."""


class _Job(Generic[T]):
    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[SqliteUnitOfWork], T], future: asyncio.Future[T]) -> None:
        self.work = work
        self.future = future


class Database:
    """The open database; made by `open`."""

    def __init__(self, writer: ConnectionThread, readers: Readers, tail: JournalTail, damages: DamageLog) -> None:
        self._writer = writer
        self._readers = readers
        self._queue: asyncio.Queue[_Job[Any] | None] = asyncio.Queue(QUEUE)
        self._closing = False
        self._ended = False
        self.commits = Timing()
        """Each with all writes that it held."""
        self.writes = 0
        self.tail = tail
        self.damages = damages
        """Values that did not open."""
        self.alerts: dict[str, str] = {}
        """What else is the matter with what is stored, by kind; `core/monitoring/self_check.py` tells it."""
        self._purger = Purger(self._look, self.write)

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
            async with ConnectionThread(path) as writer:
                damages = DamageLog()
                last_seq = await writer.call(partial(prepare, keys, damages=damages))
                values = await writer.call(lambda sql: sql.values)
                async with Readers.open(path, values) as readers:
                    database = cls(writer, readers, JournalTail(last_seq), damages)
                    writing = spawn(database._serve(), "store-writer")
                    purging = None if shared else spawn(supervise("the purging", database._purger.run), "store-purger")
                    try:
                        yield database
                    finally:
                        await database._close(writing, purging)

    async def write(self, work: Callable[[SqliteUnitOfWork], T]) -> T:
        """Run *work* in a transaction; returns its result once that is committed.

        What *work* raises undoes only its own changes and is raised here. Database errors become `StoreError`, those
        about the values to be written `Unstorable`.
        """
        if self._closing:
            raise StoreError("the database is closed")
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        await self._queue.put(_Job(work, future))
        if self._ended:
            self._refuse_all()
        return await future

    async def read(self, work: Callable[[SqliteUnitOfWork], T]) -> T:
        """Run *work* on one state of the database, with all that is committed; it cannot write."""
        return await self._look(partial(_in_view, work))

    async def look_up(self, work: Callable[[SqliteUnitOfWork], T]) -> T:
        """Like `read`, for what finds a row or two by an index: it never waits for anything long."""
        try:
            return await self._readers.look_up(partial(_in_view, work))
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the database: {error}") from error

    async def _look(self, work: Callable[[SealedConnection], T]) -> T:
        try:
            return await self._readers.read(work)
        except sqlite3.Error as error:
            raise StoreError(f"cannot read the database: {error}") from error

    def alert(self, kind: str, words: str | None) -> None:
        """Note what is the matter (None: nothing any more), to be reported."""
        if words is None:
            self.alerts.pop(kind, None)
        else:
            self.alerts[kind] = words

    async def purged(self, bot: str) -> None:
        """Wait until nothing is left of a deleted bot, and its id is free. Raises `StoreError`."""
        await self._purger.gone(bot)

    async def _close(self, writing: asyncio.Task[None], purging: asyncio.Task[None] | None) -> None:
        """Commit what was handed in, and end the writer."""
        if purging is not None:
            purging.cancel()
            await asyncio.wait([purging])
        self._closing = True
        if not self._ended:
            await self._queue.put(None)
        await asyncio.wait([writing])

    async def _serve(self) -> None:
        """Be the writer. However it ends, nobody is left waiting."""
        try:
            await supervise("the database's writer", self._write_all, first=WRITER_AGAIN, longest=WRITER_AGAIN)
        finally:
            self._closing = self._ended = True
            self._refuse_all()

    def _refuse_all(self) -> None:
        while not self._queue.empty():
            job = self._queue.get_nowait()
            if job is not None:
                _refuse([job], StoreError("the database is closed"))

    async def _write_all(self) -> None:
        last = False
        while not last:
            jobs, last = await self._take()
            try:
                await self._commit(jobs)
            except BaseException:  # an internal error, or the end: nobody is left waiting
                _refuse(jobs, StoreError("the database's writer failed, see the log"))
                raise

    async def _commit(self, jobs: list[_Job[Any]]) -> None:
        if not jobs:
            return
        began = time.monotonic()
        try:
            outcomes, done = await self._writer.call(partial(_run, jobs))
        except Exception as error:  # noqa: BLE001 - whatever it was, the callers get it and the next may work
            _refuse(jobs, StoreError(f"cannot write the database: {error}"))
            return
        self.commits.add(time.monotonic() - began)
        self.writes += len(jobs)
        for step in done.after_commit:
            try:
                step()
            except Exception:  # it is committed, and others wait
                log.exception("what had to follow a commit failed")
        self.tail.publish(done.emitted)
        if done.deleted:
            self._purger.wake()
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


def _in_view(work: Callable[[SqliteUnitOfWork], T], sql: SealedConnection) -> T:
    return work(SqliteUnitOfWork(sql))


class _Failure:
    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


def _run(jobs: list[_Job[Any]], sql: SealedConnection) -> tuple[list[Any], SqliteUnitOfWork]:
    """Run *jobs* in one transaction; in the connection's thread."""
    unit = SqliteUnitOfWork(sql)
    sql.execute("BEGIN IMMEDIATE")
    try:
        outcomes = [_run_alone(unit, jobs[0])] if len(jobs) == 1 else [_run_one(unit, job) for job in jobs]
        if sql.in_transaction:
            sql.execute("COMMIT")
    except BaseException:
        if sql.in_transaction:
            sql.execute("ROLLBACK")
        raise
    return outcomes, unit


def _run_alone(unit: SqliteUnitOfWork, job: _Job[Any]) -> Any:
    """Run the only job of a transaction, which needs no savepoint: what it raises undoes the whole."""
    try:
        return job.work(unit)
    except Exception as error:
        if not unit.sql.in_transaction:  # a full disk or an I/O error has ended it
            raise
        unit.sql.execute("ROLLBACK")
        unit.forget()
        return _Failure(error)


def _run_one(unit: SqliteUnitOfWork, job: _Job[Any]) -> Any:
    sql, emitted, steps = unit.sql, len(unit.emitted), len(unit.after_commit)
    sql.execute("SAVEPOINT job")
    try:
        result = job.work(unit)
    except Exception as error:
        if not sql.in_transaction:  # a full disk or an I/O error ends the whole transaction, not only the savepoint
            raise
        sql.execute("ROLLBACK TO job")
        sql.execute("RELEASE job")
        unit.forget(emitted, steps)
        return _Failure(error)  # kept with its traceback and raised at the caller's
    sql.execute("RELEASE job")
    return result


def _answer(jobs: list[_Job[Any]], outcomes: list[Any]) -> None:
    for job, outcome in zip(jobs, outcomes, strict=True):
        if job.future.done():
            continue
        if not isinstance(outcome, _Failure):
            job.future.set_result(outcome)
        elif isinstance(outcome.error, _REFUSALS):
            job.future.set_exception(Unstorable(f"the database refuses the values: {outcome.error}"))
        elif isinstance(outcome.error, sqlite3.Error):
            job.future.set_exception(StoreError(f"cannot write the database: {outcome.error}"))
        else:
            job.future.set_exception(outcome.error)


def _refuse(jobs: list[_Job[Any]], error: StoreError) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_exception(error)
