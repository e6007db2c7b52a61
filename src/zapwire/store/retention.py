"""What is over and old is deleted, a little at a time, so that no other write waits long."""

from __future__ import annotations

from datetime import datetime

from zapwire.store import times
from zapwire.store.db import Transaction

CHUNK = 1000
"""Most rows of one table in one step."""

_MESSAGES = """
DELETE FROM messages WHERE (bot, chat, sender, whatsapp_id) IN (
    SELECT bot, chat, sender, whatsapp_id FROM messages WHERE stored_at < ? ORDER BY stored_at LIMIT ?
)"""
_OUTBOX = """
DELETE FROM outbox WHERE n IN (
    SELECT n FROM outbox WHERE updated_at < ? AND state NOT IN ('queued', 'sending') ORDER BY updated_at LIMIT ?
)"""
_DEAD_LETTERS = """
DELETE FROM dead_letters WHERE (endpoint, seq) IN (
    SELECT endpoint, seq FROM dead_letters WHERE at < ? ORDER BY at LIMIT ?
)"""
_STEPS = (_MESSAGES, _OUTBOX, _DEAD_LETTERS)


def prune(transaction: Transaction, oldest: datetime) -> bool:
    """Delete received messages, ended outgoing ones and dead letters from before *oldest*; True when there is more."""
    before = times.to_ms(oldest)
    counts = [transaction.sql.execute(step, (before, CHUNK)).rowcount for step in _STEPS]
    return max(counts) >= CHUNK
