"""Connections that read, each on a thread of its own, so that a long look holds up no short one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

import aiosqlite

from zapwire.store.sqlite.migrations import prepare_reader
from zapwire.store.sqlite.sealed_values import SealedConnection, Values, connect

T = TypeVar("T")

BUSY_TIMEOUT: Final = 5.0
"""Seconds to wait for the command line's short writes (`zapwire token create`) to the same file."""
READERS: Final = 2
"""Besides the one for look-ups."""


class ConnectionThread(aiosqlite.Connection):
    """aiosqlite's connection thread, entered once per function instead of once per statement."""

    def __init__(self, path: Path) -> None:
        super().__init__(partial(connect, path, BUSY_TIMEOUT), 64)
        self._running_one = False

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        return self

    async def call(self, function: Callable[[SealedConnection], T]) -> T:
        """Run *function* on the thread. A cancelled caller does not end it."""
        result: T = await self._execute(self._call, function)  # type: ignore[no-untyped-call]
        return result

    def _call(self, function: Callable[[SealedConnection], T]) -> T:
        self._running_one = True
        try:
            return function(self._conn)  # type: ignore[arg-type] # made by `connect`
        finally:
            self._running_one = False

    @property
    def load(self) -> int:
        """How many functions wait or run."""
        return self._tx.qsize() + self._running_one


class Readers:
    """Some connections for reading; made by `open`."""

    def __init__(self, pool: list[ConnectionThread], quick: ConnectionThread) -> None:
        self._pool = pool
        self._quick = quick

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, values: Values) -> AsyncIterator[Readers]:
        """Open them for the database at *path*, whose schema is up to date and whose values *values* opens."""
        async with AsyncExitStack() as stack:
            threads = [await stack.enter_async_context(ConnectionThread(path)) for _ in range(READERS + 1)]
            for thread in threads:
                await thread.call(partial(prepare_reader, values))
            quick, *pool = threads
            yield cls(pool, quick)

    async def read(self, work: Callable[[SealedConnection], T]) -> T:
        """Run *work* on the connection that has least to do; all of it sees one state of the database."""
        return await min(self._pool, key=lambda thread: thread.load).call(partial(_in_one_snapshot, work))

    async def look_up(self, work: Callable[[SealedConnection], T]) -> T:
        """Run *work*, which takes no time to speak of, where nothing long ever runs."""
        return await self._quick.call(work)


def _in_one_snapshot(work: Callable[[SealedConnection], T], sql: SealedConnection) -> T:
    sql.execute("BEGIN")
    try:
        return work(sql)
    finally:
        if sql.in_transaction:  # an I/O error has ended it
            sql.execute("ROLLBACK")
