"""Deliveries: one row for each event an endpoint was sent or still has to get, with its attempts.

`INDEXED BY` is there where SQLite, which knows nothing of how few deliveries wait, would go through all of them; the
condition `state != 'delivered'` is that of the index, which it does not see in any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.deliveries import DeliveryRecord, DeliveryState, StoredQueue, WaitingDelivery
from zapwire.model.events import LostEvent
from zapwire.model.jid import PERSON_ID, phone_jid
from zapwire.model.messages import Party
from zapwire.store.sqlite.repository import InnerDeliveryQueue, Repository
from zapwire.store.sqlite.sealed_values import DamagedValue, Values
from zapwire.store.sqlite.soft_delete import of_gone_bot

_DUE_AT_ONCE = 500
ATTEMPTS_KEPT = 32
"""Of one delivery; replays could add to them for ever."""
_UNNAMED = "?"
"""What the name of a lane begins with that cannot be read; no bot is called so."""


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


def _what(values: Values, record: DeliveryRecord) -> tuple[Any, ...]:
    lane = lane_key(values, record.lane)
    return (record.seq, record.event, record.type, record.bot, lane, timestamps.to_ms(record.happened))


def _row(values: Values, endpoint: str, record: DeliveryRecord) -> tuple[Any, ...]:
    attempt = record.attempt
    assert attempt is not None  # noqa: S101 - chosen by that
    tried = [[timestamps.to_ms(attempt.at), attempt.status, attempt.duration_ms, attempt.error]]
    return (
        *(endpoint, *_what(values, record), record.state, record.replay, record.tries, timestamps.to_ms(record.since)),
        *(
            None if record.due is None else timestamps.to_ms(record.due),
            timestamps.to_ms(attempt.at),
            json.dumps(tried),
        ),
        None if record.reply is None else json.dumps(record.reply),
        values.seal("deliveries.answer", f"{endpoint}/{record.seq}", record.answer or None),
    )


class SqliteDeliveryQueue(Repository, InnerDeliveryQueue):
    """See `DeliveryQueueRepository`."""

    @override
    def store(self, endpoint: str, records: Sequence[DeliveryRecord]) -> None:
        if not records or not self._unit.endpoints.exists(endpoint):
            return  # deleted meanwhile
        gone = dict(self._sql.execute(_GONE).fetchall())
        if gone:  # so are their bots, and nothing of them may come back
            records = [one for one in records if one.seq > gone.get(one.bot, -1)]
        values, tried = self._values, [one for one in records if one.attempt is not None]
        self._sql.executemany(_STORE, [_row(values, endpoint, one) for one in tried])
        waiting = [
            (endpoint, *_what(values, one), one.state, timestamps.to_ms(one.since))
            for one in records
            if one.attempt is None
        ]
        self._sql.executemany(_WAIT, waiting)
        over = [(endpoint, one.seq) for one in tried if one.replay and one.state is DeliveryState.DELIVERED]
        self._sql.executemany("DELETE FROM dead_letters WHERE endpoint = ? AND seq = ?", over)

    @override
    def bury(self, endpoint: str, record: DeliveryRecord, body: str) -> None:
        self.store(endpoint, [record])
        if self._unit.endpoints.exists(endpoint):
            self._sql.execute(
                "INSERT OR REPLACE INTO dead_letters (endpoint, seq, event, attempts, error, at) VALUES (?, ?, "
                "?, ?, ?, ?)",
                (
                    *(endpoint, record.seq),
                    self._values.seal("dead_letters.event", f"{endpoint}/{record.seq}", body),
                    record.tries,
                    *((record.attempt.error if record.attempt else None) or "", timestamps.to_ms(timestamps.now())),
                ),
            )

    @override
    def lose(self, endpoint: str, event: LostEvent) -> bool:
        if not self._unit.endpoints.exists(endpoint):
            return False
        now, lane = timestamps.to_ms(timestamps.now()), self._values.veil("deliveries.lane", event.bot or "-")
        done = self._sql.execute(
            "INSERT INTO deliveries "
            "(endpoint, seq, event, type, bot, lane, happened, state, replay, tries, since, due, at, attempts) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 'dead', 0, 0, ?, NULL, ?, ?) ON CONFLICT DO NOTHING",
            (
                *(
                    endpoint,
                    event.seq,
                    event.id,
                    event.type,
                    event.bot,
                    lane,
                    timestamps.to_ms(event.timestamp),
                    now,
                    now,
                ),
                json.dumps([[now, None, 0, "its row in the database is damaged"]]),
            ),
        )
        return done.rowcount == 1

    @override
    def drop(self, endpoint: str, seqs: Iterable[int]) -> None:
        rows = [(endpoint, seq) for seq in seqs]
        self._sql.executemany("DELETE FROM deliveries WHERE endpoint = ? AND seq = ?", rows)

    @override
    def needing_events(self, endpoint: str, upto: int) -> set[int]:
        rows = self._sql.execute(
            "SELECT seq FROM deliveries INDEXED BY deliveries_trouble "
            "WHERE endpoint = ?1 AND state IN ('pending', 'failed') AND state != 'delivered' AND seq <= ?2 "
            "AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE endpoint = ?1 AND dead_letters.seq = deliveries.seq)",
            (endpoint, upto),
        )
        return {row[0] for row in rows}

    @override
    def letter(self, endpoint: str, seq: int) -> str | None:
        row = self._sql.execute(_LETTER, (endpoint, seq)).fetchone()
        return None if row is None else self._values.row("dead_letters", f"{endpoint}/{seq}").open("event", row[0])

    @override
    def lanes(self, endpoint: str) -> list[StoredQueue]:
        rows = self._sql.execute(
            "SELECT lane, replay, due, min(seq) FROM deliveries INDEXED BY deliveries_waiting "
            "WHERE endpoint = ? AND due IS NOT NULL GROUP BY replay, lane",
            (endpoint,),
        ).fetchall()
        found = []
        for veiled, replay, due, seq in rows:
            key = lane_name(self._values, f"{endpoint}/{seq}", veiled)
            found.append(StoredQueue(key, self.present_lane(key), bool(replay), timestamps.from_ms(due)))
        return found

    @override
    def present_lane(self, key: str) -> str:
        bot, _, chat = key.partition("/")
        if not chat or key.startswith(_UNNAMED):
            return key
        if PERSON_ID.fullmatch(chat):
            party = self._unit.persons.by_id(BotId(bot), chat)
        else:
            party = self._unit.persons.complete(BotId(bot), Party(phone_jid(chat) if chat.startswith("+") else chat))
        return key if party is None or party.id is None else f"{bot}/{party.id}"

    @override
    def waiting(self, endpoint: str, lanes: Sequence[str], *, replay: bool, limit: int) -> list[WaitingDelivery]:
        keys = [lane_key(self._values, lane) for lane in lanes]
        rows = self._sql.execute(
            "SELECT seq, event, type, bot, happened, tries, since, due FROM deliveries INDEXED BY deliveries_waiting "  # noqa: S608 - marks
            f"WHERE endpoint = ? AND replay = ? AND lane IN ({', '.join('?' * len(keys))}) AND due IS NOT NULL "
            "ORDER BY seq LIMIT ?",
            (endpoint, replay, *keys, limit),
        ).fetchall()
        return [self._waiting(endpoint, row) for row in rows]

    @override
    def recorded_after(self, endpoint: str, cursor: int) -> set[int]:
        return {
            row[0]
            for row in self._sql.execute(
                "SELECT seq FROM deliveries WHERE endpoint = ? AND seq > ?", (endpoint, cursor)
            )
        }

    @override
    def make_due(self, endpoint: str, since: datetime | None = None) -> bool:
        done = self._sql.execute(
            "UPDATE deliveries SET due = ?1 WHERE (endpoint, seq) IN ("
            "SELECT endpoint, seq FROM deliveries INDEXED BY deliveries_trouble "
            "WHERE endpoint = ?2 AND state = 'failed' AND state != 'delivered' AND due > ?1 AND at >= ?3 LIMIT ?4)",
            (
                timestamps.to_ms(timestamps.now()),
                endpoint,
                0 if since is None else timestamps.to_ms(since),
                _DUE_AT_ONCE,
            ),
        )
        return done.rowcount >= _DUE_AT_ONCE

    def _waiting(self, endpoint: str, row: Sequence[Any]) -> WaitingDelivery:
        seq, event_id, kind, bot, happened, tries, since, due = row
        event = self._unit.journal.by_seq(seq)
        return WaitingDelivery(
            *(
                seq,
                event_id,
                kind,
                bot,
                timestamps.from_ms(happened),
                tries,
                timestamps.from_ms(since),
                timestamps.from_ms(due),
                event,
            ),
            self.letter(endpoint, seq) if event is None else None,
        )
