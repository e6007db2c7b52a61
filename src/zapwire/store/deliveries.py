"""Deliveries: one row for each event an endpoint was sent or still has to get, with its attempts.

`INDEXED BY` is there where SQLite, which knows nothing of how few deliveries wait, would go through all of them; the
condition `state != 'delivered'` is that of the index, which it does not see in any other.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from zapwire.events import Event
from zapwire.model import BotId
from zapwire.store import journal, times, webhooks
from zapwire.store.db import Transaction

ATTEMPTS_KEPT = 32
"""Of one delivery; replays could add to them for ever."""


class DeliveryState(StrEnum):
    """Where a delivery is."""

    PENDING = "pending"
    """Waits for its first attempt, behind another one of its chat, or was asked for again."""
    FAILED = "failed"
    """The last attempt failed; another one follows."""
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; it can be replayed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request."""

    at: datetime
    status: int | None
    """None when there was no answer."""
    duration_ms: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Record:
    """A delivery as it is stored: what it is of, and how it stands after its last attempt."""

    seq: int
    event: str
    type: str
    bot: str
    lane: str
    happened: datetime
    state: DeliveryState
    since: datetime
    replay: bool = False
    tries: int = 0
    due: datetime | None = None
    attempt: Attempt | None = None
    answer: str | None = None
    reply: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that waits, with its event, or the body of it when the journal has forgotten it."""

    seq: int
    event_id: str
    type: str
    bot: str
    happened: datetime
    tries: int
    since: datetime
    due: datetime
    event: Event | None
    letter: str | None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as the API shows it."""

    event: str
    seq: int
    type: str
    bot: str
    chat: str | None
    state: DeliveryState
    happened: datetime
    due: datetime | None
    attempts: tuple[Attempt, ...]
    answer: str | None
    reply: dict[str, str] | None


_STORE = f"""
INSERT INTO deliveries
    (endpoint, seq, event, type, bot, lane, happened, state, replay, tries, since, due, at, attempts, reply, answer)
VALUES (?1, ?2, ?3, ?4, ?5, veil('deliveries.lane', ?6), ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
    seal('deliveries.answer', ?1 || '/' || ?2, ?16))
ON CONFLICT DO UPDATE SET state = excluded.state, replay = excluded.replay, tries = excluded.tries,
    since = excluded.since, due = excluded.due, at = excluded.at, reply = coalesce(excluded.reply, reply),
    answer = excluded.answer,
    attempts = json_insert(
        iif(json_array_length(attempts) >= {ATTEMPTS_KEPT}, json_remove(attempts, '$[0]'), attempts),
        '$[#]', json_extract(excluded.attempts, '$[0]')
    )
"""  # noqa: S608 - a constant
_WAIT = """
INSERT INTO deliveries (endpoint, seq, event, type, bot, lane, happened, state, replay, tries, since, due, at, attempts)
VALUES (?1, ?2, ?3, ?4, ?5, veil('deliveries.lane', ?6), ?7, ?8, 0, 0, ?9, ?9, ?9, '[]')
ON CONFLICT DO NOTHING
"""


def store(transaction: Transaction, endpoint: str, records: Sequence[Record]) -> None:
    """Store how deliveries stand after an attempt, or with one without an attempt that it waits from now on."""
    if not records or not webhooks.exists(transaction.sql, endpoint):
        return  # deleted meanwhile
    tried = [one for one in records if one.attempt is not None]
    transaction.sql.executemany(_STORE, [_row(endpoint, one) for one in tried])
    waiting = [(endpoint, *_what(one), one.state, times.to_ms(one.since)) for one in records if one.attempt is None]
    transaction.sql.executemany(_WAIT, waiting)
    over = [(endpoint, one.seq) for one in tried if one.replay and one.state is DeliveryState.DELIVERED]
    transaction.sql.executemany("DELETE FROM dead_letters WHERE endpoint = ? AND seq = ?", over)


def bury(transaction: Transaction, endpoint: str, record: Record, body: str) -> None:
    """Give a delivery up, keeping the event's *body*, as the journal may forget it."""
    store(transaction, endpoint, [record])
    if webhooks.exists(transaction.sql, endpoint):
        transaction.sql.execute(
            "INSERT OR REPLACE INTO dead_letters (endpoint, seq, event, attempts, error, at) "
            "VALUES (?1, ?2, seal('dead_letters.event', ?1 || '/' || ?2, ?3), ?4, ?5, ?6)",
            (
                *(endpoint, record.seq, body, record.tries),
                *((record.attempt.error if record.attempt else None) or "", times.to_ms(times.now())),
            ),
        )


def drop(transaction: Transaction, endpoint: str, seqs: Iterable[int]) -> None:
    """Forget deliveries whose events are gone."""
    rows = [(endpoint, seq) for seq in seqs]
    transaction.sql.executemany("DELETE FROM deliveries WHERE endpoint = ? AND seq = ?", rows)


def forget(transaction: Transaction, bot: BotId) -> None:
    """Delete the deliveries of a bot that is being deleted, before its events are, and what was given up of it."""
    sql = transaction.sql
    sql.execute(
        "DELETE FROM dead_letters WHERE ?1 = (SELECT bot FROM deliveries "
        "WHERE deliveries.endpoint = dead_letters.endpoint AND deliveries.seq = dead_letters.seq)",
        (bot,),
    )
    sql.execute("DELETE FROM deliveries WHERE state != 'delivered' AND bot = ?", (bot,))
    sql.execute(
        "DELETE FROM deliveries WHERE (endpoint, seq) IN "
        "(SELECT endpoints.id, journal.seq FROM journal CROSS JOIN endpoints WHERE journal.bot = ?)",
        (bot,),
    )


def needing_events(sql: sqlite3.Connection, endpoint: str, upto: int) -> set[int]:
    """What waits of the events up to *upto* and has its event only in the journal: not a dead letter's replay."""
    rows = sql.execute(
        "SELECT seq FROM deliveries INDEXED BY deliveries_trouble "
        "WHERE endpoint = ?1 AND state IN ('pending', 'failed') AND state != 'delivered' AND seq <= ?2 "
        "AND seq NOT IN (SELECT seq FROM dead_letters WHERE endpoint = ?1)",
        (endpoint, upto),
    )
    return {row[0] for row in rows}


def letter(sql: sqlite3.Connection, endpoint: str, seq: int) -> str | None:
    """The body of a dead letter."""
    row = sql.execute(
        "SELECT unseal('dead_letters.event', endpoint || '/' || seq, event) FROM dead_letters "
        "WHERE endpoint = ? AND seq = ?",
        (endpoint, seq),
    ).fetchone()
    return None if row is None else str(row[0])


def lanes(sql: sqlite3.Connection, endpoint: str) -> list[tuple[str, bool, datetime]]:
    """The lanes in which something waits: name, whether of replays, and when its first delivery is due."""
    rows = sql.execute(
        "WITH heads AS MATERIALIZED (SELECT lane, replay, due, min(seq) FROM deliveries INDEXED BY deliveries_waiting "
        "WHERE endpoint = ? AND due IS NOT NULL GROUP BY replay, lane) "
        "SELECT unveil('deliveries.lane', lane), replay, due FROM heads",
        (endpoint,),
    )
    return [(row[0], bool(row[1]), times.from_ms(row[2])) for row in rows]


def waiting(sql: sqlite3.Connection, endpoint: str, lane: str, *, replay: bool, limit: int) -> list[Waiting]:
    """What has to go out next in a lane, in order."""
    rows = sql.execute(
        "SELECT seq, event, type, bot, happened, tries, since, due FROM deliveries INDEXED BY deliveries_waiting "
        "WHERE endpoint = ? AND replay = ? AND lane = veil('deliveries.lane', ?) AND due IS NOT NULL "
        "ORDER BY seq LIMIT ?",
        (endpoint, replay, lane, limit),
    ).fetchall()
    return [_waiting(sql, endpoint, row) for row in rows]


def recorded_after(sql: sqlite3.Connection, endpoint: str, cursor: int) -> set[int]:
    """The numbers of those events after *cursor* that are taken care of already."""
    return {
        row[0] for row in sql.execute("SELECT seq FROM deliveries WHERE endpoint = ? AND seq > ?", (endpoint, cursor))
    }


def make_due(transaction: Transaction, endpoint: str) -> None:
    """Let everything that waits after a failed attempt be tried again at once."""
    transaction.sql.execute(
        "UPDATE deliveries INDEXED BY deliveries_trouble SET due = ?1 "
        "WHERE endpoint = ?2 AND state = 'failed' AND state != 'delivered' AND due > ?1",
        (times.to_ms(times.now()), endpoint),
    )


def _waiting(sql: sqlite3.Connection, endpoint: str, row: sqlite3.Row) -> Waiting:
    seq, event_id, kind, bot, happened, tries, since, due = row
    event = journal.by_seq(sql, seq)
    return Waiting(
        *(seq, event_id, kind, bot, times.from_ms(happened), tries, times.from_ms(since), times.from_ms(due), event),
        letter(sql, endpoint, seq) if event is None else None,
    )


def _what(record: Record) -> tuple[Any, ...]:
    return (record.seq, record.event, record.type, record.bot, record.lane, times.to_ms(record.happened))


def _row(endpoint: str, record: Record) -> tuple[Any, ...]:
    attempt = record.attempt
    assert attempt is not None  # noqa: S101 - chosen by that
    tried = [[times.to_ms(attempt.at), attempt.status, attempt.duration_ms, attempt.error]]
    return (
        *(endpoint, *_what(record), record.state, record.replay, record.tries, times.to_ms(record.since)),
        *(None if record.due is None else times.to_ms(record.due), times.to_ms(attempt.at), json.dumps(tried)),
        *(None if record.reply is None else json.dumps(record.reply), record.answer or None),
    )
