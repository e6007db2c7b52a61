"""Deliveries: one row for each event an endpoint was sent or still has to get, with its attempts.

`INDEXED BY` is there where SQLite, which knows nothing of how few deliveries wait, would go through all of them; the
condition `state != 'delivered'` is that of the index, which it does not see in any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from zapwire.events import Event
from zapwire.model import BotId, Party
from zapwire.store import journal, persons, times, webhooks
from zapwire.store.deleted import of_gone_bot
from zapwire.store.journal import Lost
from zapwire.store.transaction import Transaction
from zapwire.store.values import Connection, DamagedValue, Values

_DUE_AT_ONCE = 500
ATTEMPTS_KEPT = 32
"""Of one delivery; replays could add to them for ever."""
_UNNAMED = "?"
"""What the name of a lane begins with that cannot be read; no bot is called so."""


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
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
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
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0, 0, ?9, ?9, ?9, '[]')
ON CONFLICT DO NOTHING
"""


_LETTER = f"""
SELECT event FROM dead_letters WHERE endpoint = ? AND seq = ? AND NOT EXISTS (
    SELECT 1 FROM deliveries WHERE deliveries.endpoint = dead_letters.endpoint AND deliveries.seq = dead_letters.seq
    AND {of_gone_bot("deliveries")}
)
"""  # noqa: S608 - a constant
_GONE = "SELECT id, deleted_upto FROM bots INDEXED BY bots_deleted WHERE deleted_upto IS NOT NULL"


def store(transaction: Transaction, endpoint: str, records: Sequence[Record]) -> None:
    """Store how deliveries stand after an attempt, or with one without an attempt that it waits from now on."""
    if not records or not webhooks.exists(transaction.sql, endpoint):
        return  # deleted meanwhile
    gone = dict(transaction.sql.execute(_GONE).fetchall())
    if gone:  # so are their bots, and nothing of them may come back
        records = [one for one in records if one.seq > gone.get(one.bot, -1)]
    values, tried = transaction.sql.values, [one for one in records if one.attempt is not None]
    transaction.sql.executemany(_STORE, [_row(values, endpoint, one) for one in tried])
    waiting = [
        (endpoint, *_what(values, one), one.state, times.to_ms(one.since)) for one in records if one.attempt is None
    ]
    transaction.sql.executemany(_WAIT, waiting)
    over = [(endpoint, one.seq) for one in tried if one.replay and one.state is DeliveryState.DELIVERED]
    transaction.sql.executemany("DELETE FROM dead_letters WHERE endpoint = ? AND seq = ?", over)


def bury(transaction: Transaction, endpoint: str, record: Record, body: str) -> None:
    """Give a delivery up, keeping the event's *body*, as the journal may forget it."""
    store(transaction, endpoint, [record])
    if webhooks.exists(transaction.sql, endpoint):
        transaction.sql.execute(
            "INSERT OR REPLACE INTO dead_letters (endpoint, seq, event, attempts, error, at) VALUES (?, ?, ?, ?, ?, ?)",
            (
                *(endpoint, record.seq),
                transaction.sql.values.seal("dead_letters.event", f"{endpoint}/{record.seq}", body),
                record.tries,
                *((record.attempt.error if record.attempt else None) or "", times.to_ms(times.now())),
            ),
        )


def lose(transaction: Transaction, endpoint: str, event: Lost) -> bool:
    """Record as given up what cannot be read and so cannot be delivered; False when that was known."""
    if not webhooks.exists(transaction.sql, endpoint):
        return False
    now, lane = times.to_ms(times.now()), transaction.sql.values.veil("deliveries.lane", event.bot or "-")
    done = transaction.sql.execute(
        "INSERT INTO deliveries "
        "(endpoint, seq, event, type, bot, lane, happened, state, replay, tries, since, due, at, attempts) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, 'dead', 0, 0, ?, NULL, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(endpoint, event.seq, event.id, event.type, event.bot, lane, times.to_ms(event.timestamp), now, now),
            json.dumps([[now, None, 0, "its row in the database is damaged"]]),
        ),
    )
    return done.rowcount == 1


def drop(transaction: Transaction, endpoint: str, seqs: Iterable[int]) -> None:
    """Forget deliveries whose events are gone."""
    rows = [(endpoint, seq) for seq in seqs]
    transaction.sql.executemany("DELETE FROM deliveries WHERE endpoint = ? AND seq = ?", rows)


def needing_events(sql: Connection, endpoint: str, upto: int) -> set[int]:
    """What waits of the events up to *upto* and has its event only in the journal: not a dead letter's replay."""
    rows = sql.execute(
        "SELECT seq FROM deliveries INDEXED BY deliveries_trouble "
        "WHERE endpoint = ?1 AND state IN ('pending', 'failed') AND state != 'delivered' AND seq <= ?2 "
        "AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE endpoint = ?1 AND dead_letters.seq = deliveries.seq)",
        (endpoint, upto),
    )
    return {row[0] for row in rows}


def letter(sql: Connection, endpoint: str, seq: int) -> str | None:
    """The body of a dead letter; None when there is none, or it cannot be read."""
    row = sql.execute(_LETTER, (endpoint, seq)).fetchone()
    return None if row is None else sql.values.row("dead_letters", f"{endpoint}/{seq}").open("event", row[0])


def lane_key(values: Values, name: str) -> bytes:
    """How the lane called *name* is stored."""
    return bytes.fromhex(name[1:]) if name.startswith(_UNNAMED) else values.veil("deliveries.lane", name)


def lane_name(values: Values, row: str, key: bytes) -> str:
    """The reverse; *row* is one in which it stands.

    A damaged lane gets a name that says nothing but keeps it apart: what is in it can be delivered all the same.
    """
    try:
        return values.unveil("deliveries.lane", row, key)
    except DamagedValue:
        return f"{_UNNAMED}{key.hex()}"


@dataclass(frozen=True, slots=True)
class StoredLane:
    """A lane in which something waits."""

    key: str
    """What it is stored as."""
    name: str
    """What it is called now."""
    replay: bool
    due: datetime
    """When its first delivery is."""


def lanes(sql: Connection, endpoint: str) -> list[StoredLane]:
    """The lanes in which something waits; of one that was called otherwise before there may be several."""
    rows = sql.execute(
        "SELECT lane, replay, due, min(seq) FROM deliveries INDEXED BY deliveries_waiting "
        "WHERE endpoint = ? AND due IS NOT NULL GROUP BY replay, lane",
        (endpoint,),
    ).fetchall()
    found = []
    for veiled, replay, due, seq in rows:
        key = lane_name(sql.values, f"{endpoint}/{seq}", veiled)
        found.append(StoredLane(key, present_lane(sql, key), bool(replay), times.from_ms(due)))
    return found


def present_lane(sql: Connection, key: str) -> str:
    """What the lane is called now that was stored as *key*: without an id, or with that of a person merged since."""
    bot, _, chat = key.partition("/")
    if not chat or key.startswith(_UNNAMED):
        return key
    if persons.ID.fullmatch(chat):
        party = persons.by_id(sql, BotId(bot), chat)
    else:
        party = persons.complete(sql, BotId(bot), Party(persons.phone_jid(chat) if chat.startswith("+") else chat))
    return key if party is None or party.id is None else f"{bot}/{party.id}"


def waiting(sql: Connection, endpoint: str, lanes: Sequence[str], *, replay: bool, limit: int) -> list[Waiting]:
    """What has to go out next in a lane that is stored as any of *lanes*, in order."""
    keys = [lane_key(sql.values, lane) for lane in lanes]
    rows = sql.execute(
        "SELECT seq, event, type, bot, happened, tries, since, due FROM deliveries INDEXED BY deliveries_waiting "  # noqa: S608 - marks
        f"WHERE endpoint = ? AND replay = ? AND lane IN ({', '.join('?' * len(keys))}) AND due IS NOT NULL "
        "ORDER BY seq LIMIT ?",
        (endpoint, replay, *keys, limit),
    ).fetchall()
    return [_waiting(sql, endpoint, row) for row in rows]


def recorded_after(sql: Connection, endpoint: str, cursor: int) -> set[int]:
    """The numbers of those events after *cursor* that are taken care of already."""
    return {
        row[0] for row in sql.execute("SELECT seq FROM deliveries WHERE endpoint = ? AND seq > ?", (endpoint, cursor))
    }


def make_due(transaction: Transaction, endpoint: str, since: datetime | None = None) -> bool:
    """Let what waits after a failed attempt be tried again at once; with *since* only if that was not before then.

    A little at a time, so that no other write waits long: True when there may be more.
    """
    done = transaction.sql.execute(
        "UPDATE deliveries SET due = ?1 WHERE (endpoint, seq) IN ("
        "SELECT endpoint, seq FROM deliveries INDEXED BY deliveries_trouble "
        "WHERE endpoint = ?2 AND state = 'failed' AND state != 'delivered' AND due > ?1 AND at >= ?3 LIMIT ?4)",
        (times.to_ms(times.now()), endpoint, 0 if since is None else times.to_ms(since), _DUE_AT_ONCE),
    )
    return done.rowcount >= _DUE_AT_ONCE


def _waiting(sql: Connection, endpoint: str, row: Sequence[Any]) -> Waiting:
    seq, event_id, kind, bot, happened, tries, since, due = row
    event = journal.by_seq(sql, seq)
    return Waiting(
        *(seq, event_id, kind, bot, times.from_ms(happened), tries, times.from_ms(since), times.from_ms(due), event),
        letter(sql, endpoint, seq) if event is None else None,
    )


def _what(values: Values, record: Record) -> tuple[Any, ...]:
    lane = lane_key(values, record.lane)
    return (record.seq, record.event, record.type, record.bot, lane, times.to_ms(record.happened))


def _row(values: Values, endpoint: str, record: Record) -> tuple[Any, ...]:
    attempt = record.attempt
    assert attempt is not None  # noqa: S101 - chosen by that
    tried = [[times.to_ms(attempt.at), attempt.status, attempt.duration_ms, attempt.error]]
    return (
        *(endpoint, *_what(values, record), record.state, record.replay, record.tries, times.to_ms(record.since)),
        *(None if record.due is None else times.to_ms(record.due), times.to_ms(attempt.at), json.dumps(tried)),
        None if record.reply is None else json.dumps(record.reply),
        values.seal("deliveries.answer", f"{endpoint}/{record.seq}", record.answer or None),
    )
