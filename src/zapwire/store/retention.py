"""What is over and old is deleted, a little at a time, so that no other write waits long.

Endpoints are not waited for. What one of them still had to get is counted in `webhook_gaps`, and told to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zapwire.events import EventType
from zapwire.model import NO_BOT, BotId
from zapwire.store import deliveries, journal, times, webhooks
from zapwire.store.journal import Lost
from zapwire.store.transaction import Transaction

KINDS: Final = {
    "messages": """
DELETE FROM messages WHERE (bot, chat, sender, whatsapp_id) IN (
    SELECT bot, chat, sender, whatsapp_id FROM messages WHERE stored_at < ? ORDER BY stored_at LIMIT ?
)""",
    "outbox": """
DELETE FROM outbox WHERE n IN (
    SELECT n FROM outbox WHERE updated_at < ? AND state NOT IN ('queued', 'sending') ORDER BY updated_at LIMIT ?
)""",
    "dead_letters": """
DELETE FROM dead_letters WHERE (endpoint, seq) IN (
    SELECT endpoint, seq FROM dead_letters WHERE at < ? ORDER BY at LIMIT ?
)""",
    "dead": """
DELETE FROM deliveries WHERE (endpoint, seq) IN (
    SELECT endpoint, seq FROM deliveries WHERE at < ? AND state = 'dead' ORDER BY at LIMIT ?
)""",
    "delivered": """
DELETE FROM deliveries WHERE (endpoint, seq) IN (
    SELECT endpoint, seq FROM deliveries WHERE at < ? AND state = 'delivered' ORDER BY at LIMIT ?
)""",
}
"""Received messages, ended outgoing ones, dead letters and their deliveries, other deliveries that are over."""


def prune_rows(transaction: Transaction, limit: int, kind: str, oldest: datetime) -> int:
    """Delete up to *limit* rows of *kind* from before *oldest*; returns how many."""
    return transaction.sql.execute(KINDS[kind], (times.to_ms(oldest), limit)).rowcount


def prune_events(transaction: Transaction, limit: int, upto: int) -> int:
    """Delete up to *limit* of the events up to *upto*, the oldest first; returns how many."""
    if upto <= journal.floor(transaction.sql):
        return 0
    rows = journal.oldest_until(transaction.sql, upto, limit)
    gone = rows[-1][0] if len(rows) == limit else upto
    for endpoint in webhooks.behind(transaction.sql, gone):
        waiting = deliveries.needing_events(transaction.sql, endpoint.id, gone)
        if endpoint.cursor < gone or waiting:
            _let_miss(transaction, endpoint, rows, waiting, gone)
    journal.prune(transaction, gone)
    return len(rows)


def miss(transaction: Transaction, endpoint: str, lost: Sequence[Lost]) -> None:
    """Record that an endpoint cannot get these events, whose rows are damaged, and tell it."""
    new = [one.seq for one in lost if deliveries.lose(transaction, endpoint, one)]
    if new:
        _widen(transaction, endpoint, min(new), max(new), len(new))
        tell_gaps(transaction)


def miss_waiting(transaction: Transaction, endpoint: str, seq: int) -> None:
    """Forget a delivery that waits for an endpoint and whose event is gone, or tell it when that cannot be read."""
    deliveries.drop(transaction, endpoint, [seq])
    lost = journal.lost(transaction.sql, seq)
    if lost is not None:
        miss(transaction, endpoint, [lost])


def tell_gaps(transaction: Transaction) -> None:
    """Write `webhook.gap` for each enabled endpoint that missed something; the others are told when they are."""
    query = (
        "SELECT endpoint, from_seq, to_seq, count FROM webhook_gaps "
        "WHERE endpoint IN (SELECT id FROM endpoints WHERE enabled)"
    )
    for endpoint, first, last, count in transaction.sql.execute(query).fetchall():
        data = {"webhook": endpoint, "from_seq": first, "to_seq": last, "count": count}
        journal.append(transaction, EventType.WEBHOOK_GAP, NO_BOT, data)
        transaction.sql.execute("DELETE FROM webhook_gaps WHERE endpoint = ?", (endpoint,))


def _let_miss(
    transaction: Transaction,
    endpoint: webhooks.Endpoint,
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
        event = journal.by_seq(transaction.sql, seq)
        if event is not None and event.data["webhook"] == endpoint.id:
            if seq > endpoint.cursor or seq in waiting:
                _widen(transaction, endpoint.id, event.data["from_seq"], event.data["to_seq"], event.data["count"])
            missed.discard(seq)
    if missed:
        _widen(transaction, endpoint.id, min(missed), max(missed), len(missed))
    deliveries.drop(transaction, endpoint.id, waiting)
    webhooks.save_cursor(transaction, endpoint.id, gone)


def _widen(transaction: Transaction, endpoint: str, first: int, last: int, count: int) -> None:
    transaction.sql.execute(
        "INSERT INTO webhook_gaps (endpoint, from_seq, to_seq, count) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
        "from_seq = min(from_seq, excluded.from_seq), to_seq = max(to_seq, excluded.to_seq), "
        "count = count + excluded.count",
        (endpoint, first, last, count),
    )
