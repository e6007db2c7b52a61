"""The journal: every event once, numbered in the order of its commit. Everything told outside is read from here.

Numbers (`seq`) only grow and are never used twice, not even after the newest rows were deleted; they may have gaps.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from zapwire.events import Event, EventType
from zapwire.json_encoder import encode
from zapwire.model import BotId
from zapwire.store import times
from zapwire.store.deleted import of_gone_bot
from zapwire.store.transaction import Transaction
from zapwire.store.values import Connection, Values

SCANNED: Final = 20_000
"""Numbers that one read looks at: some 10 ms, whatever the filter."""
_TYPES = frozenset(EventType)
_COLUMNS = "seq, id, type, timestamp, bot, data"
_THERE = f"NOT {of_gone_bot('journal')}"


@dataclass(frozen=True, slots=True)
class Lost:
    """An event that is in the journal but cannot be read: its row is damaged."""

    seq: int
    id: str
    type: str
    timestamp: datetime
    bot: BotId


def append(transaction: Transaction, kind: EventType, bot: BotId, data: dict[str, Any]) -> Event:
    """Write an event; it is published when the transaction is committed."""
    moment, event_id, text = times.now(), f"evt_{secrets.token_hex(12)}", encode(data)
    cursor = transaction.sql.execute(
        "INSERT INTO journal (id, type, timestamp, bot, data) VALUES (?, ?, ?, ?, ?)",
        (
            *(event_id, kind, times.to_ms(moment), bot),
            transaction.sql.values.seal("journal.data", event_id, text),
        ),
    )
    assert cursor.lastrowid is not None  # noqa: S101 - an INSERT always has one
    event = Event(cursor.lastrowid, event_id, kind, moment, bot, data, len(text))
    transaction.told.append(event)
    return event


def read(
    sql: Connection,
    after: int,
    limit: int,
    *,
    upto: int | None = None,
    bots: Collection[str] | None = None,
    types: Collection[str] | None = None,
) -> tuple[list[Event | Lost], int]:
    """Up to *limit* events after *after* that match, in order, and the cursor from which to read on.

    One whose row is damaged is `Lost`; its type and bot are not sealed, so filters hold for it too.

    The cursor also moves past what does not match, but never past what was not yet committed, nor past *upto*: the
    newest event that was published, so that nobody learns from the table what memory does not know yet. At most
    `SCANNED` numbers are looked at, however few match: there may be more although fewer than *limit* came.
    """
    last = min(last_seq(sql) if upto is None else min(upto, last_seq(sql)), after + SCANNED)
    where, arguments = "seq > ? AND seq <= ?", [after, last, *(bots or ()), *(types or ())]
    if bots is not None:
        where += f" AND bot IN ({_marks(bots)})"
    if types is not None:
        where += f" AND type IN ({_marks(types)})"
    query = f"SELECT {_COLUMNS} FROM journal WHERE {where} AND {_THERE} ORDER BY seq LIMIT ?"  # noqa: S608 - only question marks
    events = [_event_or_lost(sql.values, row) for row in sql.execute(query, (*arguments, limit))]
    if len(events) < limit:
        return events, max(after, last)
    return events, events[-1].seq if events else after


def by_seq(sql: Connection, seq: int) -> Event | None:
    """One event, or None when the journal no longer has it, or cannot read it."""
    found = _by_seq(sql, seq)
    return found if isinstance(found, Event) else None


def lost(sql: Connection, seq: int) -> Lost | None:
    """What is known of one event that the journal has and cannot read; None otherwise."""
    found = _by_seq(sql, seq)
    return found if isinstance(found, Lost) else None


def _by_seq(sql: Connection, seq: int) -> Event | Lost | None:
    query = f"SELECT {_COLUMNS} FROM journal WHERE seq = ? AND {_THERE}"  # noqa: S608 - constants
    row = sql.execute(query, (seq,)).fetchone()
    return None if row is None else _event_or_lost(sql.values, row)


def has(sql: sqlite3.Connection, seq: int) -> bool:
    """Does the journal still have this event?"""
    return sql.execute(f"SELECT 1 FROM journal WHERE seq = ? AND {_THERE}", (seq,)).fetchone() is not None  # noqa: S608


def floor(sql: sqlite3.Connection) -> int:
    """Every event up to here was pruned; what comes after it is here, but for the events of deleted bots."""
    return int(sql.execute("SELECT seq FROM journal_floor").fetchone()[0])


def seq_of(sql: sqlite3.Connection, event: str) -> int | None:
    """The number of the event with this id, or None when the journal no longer has it."""
    row = sql.execute(f"SELECT seq FROM journal WHERE id = ? AND {_THERE}", (event,)).fetchone()  # noqa: S608 - constant
    return None if row is None else int(row[0])


def last_seq(sql: sqlite3.Connection) -> int:
    """The highest number ever given, 0 when there was none."""
    row = sql.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    return int(row[0]) if row else 0


def prune_point(sql: sqlite3.Connection, oldest: datetime, now: datetime) -> int:
    """Up to which number the events are older than *oldest*, 0 when there are none.

    They go in the order in which they happened, so an event that got too early a time, from a clock that was set
    wrong, waits for those before it. One with a time that is still to come does not hold up those behind it.
    """
    stays = sql.execute(
        "SELECT seq FROM journal WHERE timestamp BETWEEN ? AND ? ORDER BY seq LIMIT 1",
        (times.to_ms(oldest), times.to_ms(now)),
    ).fetchone()
    row = sql.execute(
        "SELECT seq FROM journal WHERE seq < ? AND timestamp < ? ORDER BY seq DESC LIMIT 1",
        (stays[0] if stays else last_seq(sql) + 1, times.to_ms(oldest)),
    ).fetchone()
    return int(row[0]) if row else 0


def oldest_until(sql: sqlite3.Connection, upto: int, most: int) -> list[tuple[int, str, BotId, bool]]:
    """Number, type and bot of the oldest events up to *upto*, *most* of them; and whether its bot is still there."""
    query = f"SELECT seq, type, bot, {_THERE} FROM journal WHERE seq <= ? ORDER BY seq LIMIT ?"  # noqa: S608 - constants
    return [(seq, kind, BotId(bot), bool(there)) for seq, kind, bot, there in sql.execute(query, (upto, most))]


def prune(transaction: Transaction, upto: int) -> None:
    """Delete the events up to *upto*."""
    transaction.sql.execute("DELETE FROM journal WHERE seq <= ?", (upto,))
    transaction.sql.execute("UPDATE journal_floor SET seq = ? WHERE seq < ?", (upto, upto))


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def _event_or_lost(values: Values, row: tuple[int, str, str, int, str, bytes]) -> Event | Lost:
    seq, event_id, kind, timestamp, bot, sealed = row
    opened = values.row("journal", event_id)
    data = opened.open("data", sealed)
    if data is None or kind not in _TYPES:
        if data is not None:  # told by a newer zapwire
            opened.spoiled("type")
        return Lost(seq, event_id, kind, times.from_ms(timestamp), BotId(bot))
    return Event(seq, event_id, EventType(kind), times.from_ms(timestamp), BotId(bot), json.loads(data))
