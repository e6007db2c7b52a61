"""What was deleted goes for good, a little at a time: nobody else's writes wait for it.

Deleting a bot or a webhook only marks its row, which hides it and all that belongs to it
(`store/sqlite/soft_delete.py`). Here the rows go: first those of all tables that refer to it, then a bot's deliveries
and events, last its own row. Until then its id is not free, so that nothing of the old bot can ever turn up in a new
one of that name. What a stop of the daemon leaves over goes after the next start.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final, Never, Protocol, TypeVar

from zapwire.model.errors import StoreError
from zapwire.store.chunked_writes import Write, in_chunks
from zapwire.store.sqlite.sealed_values import SealedConnection
from zapwire.store.sqlite.soft_delete import is_doomed
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

log = logging.getLogger(__name__)
T = TypeVar("T")

AGAIN: Final = 5.0
"""Seconds until the next try when the database fails."""
SCANNED: Final = 5000
"""Deliveries that are looked at in one read."""
_REST: Final = 0.002
"""Seconds between two such reads."""

Key = tuple[str, int]
"""Endpoint and number of a delivery."""


class Read(Protocol):
    """A read on a connection."""

    async def __call__(self, work: Callable[[SealedConnection], T], /) -> T:
        """Run *work* on a reading connection."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """A row that is marked as deleted."""

    table: str
    """`bots` or `endpoints`."""
    id: str
    upto: int = 0
    """Of a bot: the newest event from before it was deleted."""


@dataclass(frozen=True, slots=True)
class _Child:
    """A table whose rows belong to one of `bots` or `endpoints`, named by *column*."""

    table: str
    column: str
    key: str
    """The columns of its primary key."""


class Purger:
    """Purges what is marked; `run` never ends."""

    def __init__(self, read: Read, write: Write) -> None:
        self._read = read
        self._write = write
        self._wake = asyncio.Event()
        self._purged = asyncio.Event()

    def wake(self) -> None:
        """Something was marked."""
        self._wake.set()

    async def gone(self, bot: str) -> None:
        """Wait until nothing is left of a deleted bot. Raises `StoreError`."""
        while True:
            purged = self._purged
            if not await self._read(partial(is_doomed, bot=bot)):
                return
            await purged.wait()

    async def run(self) -> Never:
        """Purge what is marked, and what will be."""
        while True:
            self._wake.clear()
            try:
                for one in await self._read(doomed):
                    await self._purge(one)
                    purged, self._purged = self._purged, asyncio.Event()
                    purged.set()
            except StoreError as error:
                log.warning("what was deleted could not be purged yet: %s", error)
                await asyncio.sleep(AGAIN)
                continue
            await self._wake.wait()

    async def _purge(self, one: Doomed) -> None:
        children = await self._read(partial(_children, parent=one.table))
        for child in children:
            await in_chunks(self._write, partial(_purge_child, child, one.id))
        if one.table == "bots":
            await self._purge_deliveries(one)
            await in_chunks(self._write, partial(_purge_events, one))
        await self._write(partial(_purge_row, one, children))

    async def _purge_deliveries(self, bot: Doomed) -> None:
        after: Key | None = ("", 0)
        while after is not None:
            found, after = await self._read(partial(_deliveries_of, bot, after))
            left = list(found)
            await in_chunks(self._write, partial(_purge_some_deliveries, left))
            await asyncio.sleep(_REST)


def doomed(sql: SealedConnection) -> list[Doomed]:
    """What is marked."""
    bots = sql.execute("SELECT 'bots', id, deleted_upto FROM bots WHERE deleted_upto IS NOT NULL")
    endpoints = sql.execute("SELECT 'endpoints', id, 0 FROM endpoints WHERE deleted_at IS NOT NULL")
    return [Doomed(*row) for row in (*bots, *endpoints)]


def _children(sql: SealedConnection, parent: str) -> list[_Child]:
    """The tables that refer to *parent*, whichever there are."""
    rows = sql.execute(
        "SELECT main.name, child.\"from\", (SELECT group_concat(name, ', ') FROM "
        "(SELECT name FROM pragma_table_info(main.name) WHERE pk > 0 ORDER BY pk)) "
        'FROM sqlite_master AS main JOIN pragma_foreign_key_list(main.name) AS child WHERE child."table" = ? '
        "ORDER BY main.name",
        (parent,),
    )
    return [_Child(*row) for row in rows]


def _purge_child(child: _Child, parent: str, transaction: SqliteUnitOfWork, limit: int) -> int:
    key = child.key if "," not in child.key else f"({child.key})"
    query = (
        f"DELETE FROM {child.table} WHERE {key} IN "  # noqa: S608 - names from the schema
        f"(SELECT {child.key} FROM {child.table} WHERE {child.column} = ? LIMIT ?)"
    )
    return transaction.sql.execute(query, (parent, limit)).rowcount


def _deliveries_of(bot: Doomed, after: Key, sql: SealedConnection) -> tuple[list[Key], Key | None]:
    """Those among the next `SCANNED` deliveries that are of the bot, and where to look on: there is no index for it."""
    query = (
        "SELECT endpoint, seq FROM deliveries WHERE (endpoint, seq) > (?, ?) ORDER BY endpoint, seq LIMIT 1 OFFSET ?"
    )
    last = sql.execute(query, (*after, SCANNED - 1)).fetchone()
    where, arguments = "(endpoint, seq) > (?, ?) AND bot = ? AND seq <= ?", [*after, bot.id, bot.upto]
    if last is not None:
        where += " AND (endpoint, seq) <= (?, ?)"
        arguments += last
    rows = sql.execute(f"SELECT endpoint, seq FROM deliveries WHERE {where}", arguments)  # noqa: S608 - constants
    return [(row[0], row[1]) for row in rows], None if last is None else (last[0], last[1])


def _purge_some_deliveries(left: list[Key], transaction: SqliteUnitOfWork, limit: int) -> int:
    """Delete the first of *left*, and take them from it when that is committed: a failed write is made again."""
    some = left[:limit]
    for table in ("dead_letters", "deliveries"):
        transaction.sql.executemany(f"DELETE FROM {table} WHERE endpoint = ? AND seq = ?", some)  # noqa: S608 - constants
    transaction.after_commit.append(lambda: _drop(left, len(some)))
    return len(some)


def _drop(left: list[Key], count: int) -> None:
    del left[:count]


def _purge_events(bot: Doomed, transaction: SqliteUnitOfWork, limit: int) -> int:
    return transaction.sql.execute(
        "DELETE FROM journal WHERE seq IN (SELECT seq FROM journal WHERE bot = ? AND seq <= ? ORDER BY seq LIMIT ?)",
        (bot.id, bot.upto, limit),
    ).rowcount


def _purge_row(one: Doomed, children: Iterable[_Child], transaction: SqliteUnitOfWork) -> None:
    """Free the id; what came in meanwhile goes in the next round."""
    for child in children:
        query = f"SELECT 1 FROM {child.table} WHERE {child.column} = ? LIMIT 1"  # noqa: S608 - names from the schema
        if transaction.sql.execute(query, (one.id,)).fetchone() is not None:
            transaction.deleted = True
            return
    transaction.sql.execute(f"DELETE FROM {one.table} WHERE id = ?", (one.id,))  # noqa: S608 - a constant
