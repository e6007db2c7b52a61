"""What is over and old is deleted, a little at a time, so that no other write waits long.

Endpoints are not waited for. What one of them still had to get is counted in `webhook_gaps`, and told to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import NO_BOT, BotId
from zapwire.model.events import EventType, LostEvent
from zapwire.model.webhooks import Endpoint
from zapwire.store.ports import RetentionRepository
from zapwire.store.ports.journal import PrunedKind
from zapwire.store.sqlite.repository import Repository

_OLD: Final = {
    PrunedKind.MESSAGES: """
DELETE FROM messages WHERE (bot, chat, sender, whatsapp_id) IN (
    SELECT bot, chat, sender, whatsapp_id FROM messages WHERE stored_at < ? ORDER BY stored_at LIMIT ?
)""",
    PrunedKind.OUTBOX: """
DELETE FROM outbox WHERE n IN (
    SELECT n FROM outbox WHERE updated_at < ? AND state NOT IN ('queued', 'sending') ORDER BY updated_at LIMIT ?
)""",
    PrunedKind.POLL_VOTES: """
DELETE FROM poll_votes WHERE (bot, poll, voter) IN (
    SELECT bot, poll, voter FROM poll_votes WHERE voted_at < ? ORDER BY voted_at LIMIT ?
)""",
    PrunedKind.RECEIPTS: """
DELETE FROM receipts WHERE (bot, whatsapp_id, recipient) IN (
    SELECT bot, whatsapp_id, recipient FROM receipts WHERE at < ? ORDER BY at LIMIT ?
)""",
    PrunedKind.DEAD_LETTERS: """
DELETE FROM dead_letters WHERE (endpoint, seq) IN (
    SELECT endpoint, seq FROM dead_letters WHERE at < ? ORDER BY at LIMIT ?
)""",
    PrunedKind.DEAD: """
DELETE FROM deliveries WHERE (endpoint, seq) IN (
    SELECT endpoint, seq FROM deliveries WHERE at < ? AND state = 'dead' ORDER BY at LIMIT ?
)""",
    PrunedKind.DELIVERED: """
DELETE FROM deliveries WHERE (endpoint, seq) IN (
    SELECT endpoint, seq FROM deliveries WHERE at < ? AND state = 'delivered' ORDER BY at LIMIT ?
)""",
}


class SqliteRetention(Repository, RetentionRepository):
    """See `RetentionRepository`."""

    @override
    def prune_rows(self, limit: int, kind: PrunedKind, oldest: datetime) -> int:
        return self._sql.execute(_OLD[kind], (timestamps.to_ms(oldest), limit)).rowcount

    @override
    def prune_events(self, limit: int, upto: int) -> int:
        if upto <= self._unit.journal.floor():
            return 0
        rows = self._unit.journal.oldest_until(upto, limit)
        gone = rows[-1][0] if len(rows) == limit else upto
        for endpoint in self._unit.endpoints.behind(gone):
            waiting = self._unit.delivery_queue.needing_events(endpoint.id, gone)
            if endpoint.cursor < gone or waiting:
                self._let_miss(endpoint, rows, waiting, gone)
        self._unit.journal.prune(gone)
        return len(rows)

    @override
    def miss(self, endpoint: str, lost: Sequence[LostEvent]) -> None:
        new = [one.seq for one in lost if self._unit.delivery_queue.lose(endpoint, one)]
        if new:
            self._widen(endpoint, min(new), max(new), len(new))
            self.tell_gaps()

    @override
    def miss_waiting(self, endpoint: str, seq: int) -> None:
        self._unit.delivery_queue.drop(endpoint, [seq])
        lost = self._unit.journal.lost(seq)
        if lost is not None:
            self.miss(endpoint, [lost])

    @override
    def tell_gaps(self) -> None:
        query = (
            "SELECT endpoint, from_seq, to_seq, count FROM webhook_gaps "
            "WHERE endpoint IN (SELECT id FROM endpoints WHERE enabled)"
        )
        for endpoint, first, last, count in self._sql.execute(query).fetchall():
            data = {"webhook": endpoint, "from_seq": first, "to_seq": last, "count": count}
            self._unit.journal.append(EventType.WEBHOOK_GAP, NO_BOT, data)
            self._sql.execute("DELETE FROM webhook_gaps WHERE endpoint = ?", (endpoint,))

    def _let_miss(
        self,
        endpoint: Endpoint,
        rows: Sequence[tuple[int, str, BotId, bool]],
        waiting: set[int],
        gone: int,
    ) -> None:
        """Note what an endpoint misses of *rows* and of what is *waiting*, and move it past them."""
        deleted = {seq for seq, _, _, there in rows if not there}
        wanted = {seq for seq, kind, bot, _ in rows if seq > endpoint.cursor and endpoint.wants(kind, bot)}
        missed = (waiting | wanted) - deleted
        for seq in (seq for seq, kind, _, _ in rows if kind == EventType.WEBHOOK_GAP):
            # The news of an earlier gap that did not get through becomes part of this one.
            event = self._unit.journal.by_seq(seq)
            if event is not None and event.data["webhook"] == endpoint.id:
                if seq > endpoint.cursor or seq in waiting:
                    self._widen(endpoint.id, event.data["from_seq"], event.data["to_seq"], event.data["count"])
                missed.discard(seq)
        if missed:
            self._widen(endpoint.id, min(missed), max(missed), len(missed))
        self._unit.delivery_queue.drop(endpoint.id, waiting)
        self._unit.endpoints.save_cursor(endpoint.id, gone)

    def _widen(self, endpoint: str, first: int, last: int, count: int) -> None:
        self._sql.execute(
            "INSERT INTO webhook_gaps (endpoint, from_seq, to_seq, count) VALUES (?, ?, ?, ?) ON CONFLICT DO "
            "UPDATE SET "
            "from_seq = min(from_seq, excluded.from_seq), to_seq = max(to_seq, excluded.to_seq), "
            "count = count + excluded.count",
            (endpoint, first, last, count),
        )
