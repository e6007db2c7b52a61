"""The journal: every event once, numbered in the order of its commit. Everything told outside is read from here.

Numbers (`seq`) only grow and are never used twice, not even after the newest rows were deleted; they may have gaps.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.events import Event, EventType, LostEvent, Payload
from zapwire.runtime.json_encoder import encode_bytes
from zapwire.store.sqlite.repository import InnerJournal, Repository
from zapwire.store.sqlite.sealed_values import Values
from zapwire.store.sqlite.soft_delete import of_gone_bot

SCANNED: Final = 20_000
"""Numbers that one read looks at: some 10 ms, whatever the filter."""
_TYPES = frozenset(EventType)
_COLUMNS = "seq, id, type, timestamp, bot, data"
_THERE = f"NOT {of_gone_bot('journal')}"


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def _event_or_lost(values: Values, row: tuple[int, str, str, int, str, bytes]) -> Event | LostEvent:
    seq, event_id, kind, timestamp, bot, sealed = row
    opened = values.row("journal", event_id)
    data = opened.open_bytes("data", sealed)
    if data is None or kind not in _TYPES:
        if data is not None:  # emitted by a newer zapwire
            opened.spoiled("type")
        return LostEvent(seq, event_id, kind, timestamps.from_ms(timestamp), BotId(bot))
    return Event(seq, event_id, EventType(kind), timestamps.from_ms(timestamp), BotId(bot), Payload(data))


class SqliteJournal(Repository, InnerJournal):
    """See `JournalRepository`."""

    @override
    def append(self, kind: EventType, bot: BotId, data: dict[str, Any]) -> Event:
        moment, event_id, encoded = timestamps.now(), f"evt_{secrets.token_hex(12)}", encode_bytes(data)
        cursor = self._sql.execute(
            "INSERT INTO journal (id, type, timestamp, bot, data) VALUES (?, ?, ?, ?, ?)",
            (
                *(event_id, kind, timestamps.to_ms(moment), bot),
                self._values.seal_bytes("journal.data", event_id, encoded),
            ),
        )
        assert cursor.lastrowid is not None  # noqa: S101 - an INSERT always has one
        event = Event(cursor.lastrowid, event_id, kind, moment, bot, Payload(encoded, data))
        self._unit.emitted.append(event)
        return event

    @override
    def read(
        self,
        after: int,
        limit: int,
        *,
        upto: int | None = None,
        bots: Collection[str] | None = None,
        types: Collection[str] | None = None,
    ) -> tuple[list[Event | LostEvent], int]:
        last = min(self.last_seq() if upto is None else min(upto, self.last_seq()), after + SCANNED)
        where, arguments = "seq > ? AND seq <= ?", [after, last, *(bots or ()), *(types or ())]
        if bots is not None:
            where += f" AND bot IN ({_marks(bots)})"
        if types is not None:
            where += f" AND type IN ({_marks(types)})"
        query = f"SELECT {_COLUMNS} FROM journal WHERE {where} AND {_THERE} ORDER BY seq LIMIT ?"  # noqa: S608 - only question marks
        events = [_event_or_lost(self._values, row) for row in self._sql.execute(query, (*arguments, limit))]
        if len(events) < limit:
            return events, max(after, last)
        return events, events[-1].seq if events else after

    @override
    def by_seq(self, seq: int) -> Event | None:
        found = self._by_seq(seq)
        return found if isinstance(found, Event) else None

    @override
    def lost(self, seq: int) -> LostEvent | None:
        found = self._by_seq(seq)
        return found if isinstance(found, LostEvent) else None

    def _by_seq(self, seq: int) -> Event | LostEvent | None:
        query = f"SELECT {_COLUMNS} FROM journal WHERE seq = ? AND {_THERE}"  # noqa: S608 - constants
        row = self._sql.execute(query, (seq,)).fetchone()
        return None if row is None else _event_or_lost(self._values, row)

    @override
    def has(self, seq: int) -> bool:
        return self._sql.execute(f"SELECT 1 FROM journal WHERE seq = ? AND {_THERE}", (seq,)).fetchone() is not None  # noqa: S608 - constants

    @override
    def floor(self) -> int:
        return int(self._sql.execute("SELECT seq FROM journal_floor").fetchone()[0])

    @override
    def seq_of(self, event: str) -> int | None:
        row = self._sql.execute(f"SELECT seq FROM journal WHERE id = ? AND {_THERE}", (event,)).fetchone()  # noqa: S608 - constants
        return None if row is None else int(row[0])

    @override
    def last_seq(self) -> int:
        row = self._sql.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
        return int(row[0]) if row else 0

    @override
    def prune_point(self, oldest: datetime, now: datetime) -> int:
        stays = self._sql.execute(
            "SELECT seq FROM journal WHERE timestamp BETWEEN ? AND ? ORDER BY seq LIMIT 1",
            (timestamps.to_ms(oldest), timestamps.to_ms(now)),
        ).fetchone()
        row = self._sql.execute(
            "SELECT seq FROM journal WHERE seq < ? AND timestamp < ? ORDER BY seq DESC LIMIT 1",
            (stays[0] if stays else self.last_seq() + 1, timestamps.to_ms(oldest)),
        ).fetchone()
        return int(row[0]) if row else 0

    @override
    def oldest_until(self, upto: int, most: int) -> list[tuple[int, str, BotId, bool]]:
        query = f"SELECT seq, type, bot, {_THERE} FROM journal WHERE seq <= ? ORDER BY seq LIMIT ?"  # noqa: S608 - constants
        return [
            (seq, kind, BotId(bot), bool(there)) for seq, kind, bot, there in self._sql.execute(query, (upto, most))
        ]

    @override
    def prune(self, upto: int) -> None:
        self._sql.execute("DELETE FROM journal WHERE seq <= ?", (upto,))
        self._sql.execute("UPDATE journal_floor SET seq = ? WHERE seq < ?", (upto, upto))
