"""Webhook endpoints, how far each has come in the journal, and what it did not take yet."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from zapwire.store import journal, times
from zapwire.store.db import Transaction

_COLUMNS = "id, unseal('endpoints.url', id, url), events, bots, enabled, cursor, failing_since, last_error, created_at"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent to."""

    id: str
    url: str
    events: tuple[str, ...]
    """Types, `*`, or a family like `message.*`."""
    bots: tuple[str, ...] | None
    """None: all."""
    enabled: bool
    created_at: datetime
    cursor: int = 0
    """Every event up to here is delivered, parked, given up or none of this endpoint's."""
    failing_since: datetime | None = None
    last_error: str | None = None

    def wants(self, kind: str, bot: str) -> bool:
        """Are events of type *kind* about *bot* (empty: about none) for this endpoint?"""
        if self.bots is not None and bot and bot not in self.bots:
            return False
        return any(pattern in {"*", kind, f"{kind.split('.', maxsplit=1)[0]}.*"} for pattern in self.events)


@dataclass(frozen=True, slots=True)
class Parked:
    """An event that waits for its next delivery."""

    seq: int
    lane: str
    attempts: int
    due: datetime


def insert(transaction: Transaction, endpoint: Endpoint, secret: str) -> Endpoint:
    """Store a new endpoint; it gets what happens from now on."""
    cursor = journal.last_seq(transaction.sql)
    transaction.sql.execute(
        "INSERT INTO endpoints (id, url, secret, events, bots, enabled, cursor, created_at) "
        "VALUES (?1, seal('endpoints.url', ?1, ?2), seal('endpoints.secret', ?1, ?3), ?4, ?5, ?6, ?7, ?8)",
        (
            *(endpoint.id, endpoint.url, secret, json.dumps(endpoint.events), _bots(endpoint), endpoint.enabled),
            *(cursor, times.to_ms(endpoint.created_at)),
        ),
    )
    stored = get(transaction.sql, endpoint.id)
    assert stored is not None  # noqa: S101 - just inserted
    return stored


def update(transaction: Transaction, endpoint: Endpoint) -> None:
    """Store what a person can change of an endpoint."""
    transaction.sql.execute(
        "UPDATE endpoints SET url = seal('endpoints.url', id, ?), events = ?, bots = ?, enabled = ? WHERE id = ?",
        (endpoint.url, json.dumps(endpoint.events), _bots(endpoint), endpoint.enabled, endpoint.id),
    )


def delete(transaction: Transaction, endpoint: str) -> bool:
    """Delete an endpoint and all that waits for it; False when there is none."""
    return transaction.sql.execute("DELETE FROM endpoints WHERE id = ?", (endpoint,)).rowcount == 1


def all_endpoints(sql: sqlite3.Connection) -> list[Endpoint]:
    """All endpoints, oldest first."""
    rows = sql.execute(f"SELECT {_COLUMNS} FROM endpoints ORDER BY created_at, rowid")  # noqa: S608 - constant
    return [_endpoint(row) for row in rows]


def get(sql: sqlite3.Connection, endpoint: str) -> Endpoint | None:
    """One endpoint."""
    row = sql.execute(f"SELECT {_COLUMNS} FROM endpoints WHERE id = ?", (endpoint,)).fetchone()  # noqa: S608 - constant
    return None if row is None else _endpoint(row)


def secret(sql: sqlite3.Connection, endpoint: str) -> str | None:
    """What its deliveries are signed with."""
    query = "SELECT unseal('endpoints.secret', id, secret) FROM endpoints WHERE id = ?"
    row = sql.execute(query, (endpoint,)).fetchone()
    return None if row is None else str(row[0])


def save_cursor(transaction: Transaction, endpoint: str, cursor: int) -> None:
    """Move an endpoint's cursor forward."""
    transaction.sql.execute("UPDATE endpoints SET cursor = ? WHERE id = ? AND cursor < ?", (cursor, endpoint, cursor))


def set_health(transaction: Transaction, endpoint: str, error: str | None) -> None:
    """Note that deliveries fail (and since when), or with None that they work again."""
    since = None if error is None else times.to_ms(times.now())
    transaction.sql.execute(
        "UPDATE endpoints SET last_error = ?, "
        "failing_since = CASE WHEN ? THEN NULL ELSE coalesce(failing_since, ?) END "
        "WHERE id = ?",
        (error, error is None, since, endpoint),
    )


def disable(transaction: Transaction, endpoint: str) -> None:
    """Stop delivering to an endpoint."""
    transaction.sql.execute("UPDATE endpoints SET enabled = 0 WHERE id = ?", (endpoint,))


def lanes(sql: sqlite3.Connection, endpoint: str) -> list[str]:
    """The lanes in which something is parked."""
    rows = sql.execute("SELECT DISTINCT unveil('parked.lane', lane) FROM parked WHERE endpoint = ?", (endpoint,))
    return [row[0] for row in rows]


def head(sql: sqlite3.Connection, endpoint: str, lane: str) -> Parked | None:
    """What has to go out first in a lane."""
    row = sql.execute(
        "SELECT seq, unveil('parked.lane', lane), attempts, due FROM parked "
        "WHERE endpoint = ? AND lane = veil('parked.lane', ?) ORDER BY seq LIMIT 1",
        (endpoint, lane),
    ).fetchone()
    return None if row is None else Parked(row[0], row[1], row[2], times.from_ms(row[3]))


def park(transaction: Transaction, endpoint: str, parked: Sequence[Parked]) -> None:
    """Store events for later; of one that is parked already only a further attempt changes anything."""
    if get(transaction.sql, endpoint) is None:
        return  # deleted meanwhile
    transaction.sql.executemany(
        "INSERT INTO parked (endpoint, seq, lane, attempts, due) VALUES (?, ?, veil('parked.lane', ?), ?, ?) "
        "ON CONFLICT DO UPDATE SET attempts = excluded.attempts, due = excluded.due WHERE excluded.attempts > attempts",
        [(endpoint, one.seq, one.lane, one.attempts, times.to_ms(one.due)) for one in parked],
    )


def unpark(transaction: Transaction, endpoint: str, seq: int) -> None:
    """An event was delivered after all."""
    transaction.sql.execute("DELETE FROM parked WHERE endpoint = ? AND seq = ?", (endpoint, seq))


def bury(transaction: Transaction, endpoint: str, parked: Parked, event: str, error: str) -> None:
    """Give an event up; it is kept as a dead letter."""
    unpark(transaction, endpoint, parked.seq)
    if get(transaction.sql, endpoint) is not None:
        transaction.sql.execute(
            "INSERT OR REPLACE INTO dead_letters (endpoint, seq, event, attempts, error, at) "
            "VALUES (?1, ?2, seal('dead_letters.event', ?1 || '/' || ?2, ?3), ?4, ?5, ?6)",
            (endpoint, parked.seq, event, parked.attempts, error, times.to_ms(times.now())),
        )


def dead_letters(sql: sqlite3.Connection, endpoint: str) -> list[tuple[int, str, str]]:
    """Sequence number, event and last error of what was given up, in order."""
    query = (
        "SELECT seq, unseal('dead_letters.event', endpoint || '/' || seq, event), error "
        "FROM dead_letters WHERE endpoint = ? ORDER BY seq"
    )
    rows = sql.execute(query, (endpoint,))
    return [(row[0], row[1], row[2]) for row in rows]


def _bots(endpoint: Endpoint) -> str | None:
    return None if endpoint.bots is None else json.dumps(endpoint.bots)


def _endpoint(row: sqlite3.Row) -> Endpoint:
    endpoint, url, events, bots, enabled, cursor, failing, error, created = row
    return Endpoint(
        id=endpoint,
        url=url,
        events=tuple(json.loads(events)),
        bots=None if bots is None else tuple(json.loads(bots)),
        enabled=bool(enabled),
        created_at=times.from_ms(created),
        cursor=cursor,
        failing_since=times.from_ms_or_none(failing),
        last_error=error,
    )
