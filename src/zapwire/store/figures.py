"""How much waits in the database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from zapwire.store import times


@dataclass(frozen=True, slots=True)
class Waiting:
    """One bot's messages that are not sent yet."""

    count: int
    oldest: datetime
    """When the one was submitted that waits longest."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """All that waits."""

    outbox: dict[str, Waiting]
    """By bot; those without are missing."""
    parked: int
    """Deliveries that are stored and wait for an attempt, their first or another."""
    dead_letters: int
    """Deliveries that were given up."""


def backlog(sql: sqlite3.Connection) -> Backlog:
    """Count what waits; quick, as only what waits is looked at."""
    rows = sql.execute(
        "SELECT bot, count(*), min(created_at) FROM outbox WHERE state IN ('queued', 'sending') GROUP BY bot"
    )
    outbox = {bot: Waiting(count, times.from_ms(oldest)) for bot, count, oldest in rows}
    (parked,) = sql.execute("SELECT count(*) FROM deliveries WHERE due IS NOT NULL").fetchone()
    (dead,) = sql.execute("SELECT count(*) FROM dead_letters").fetchone()
    return Backlog(outbox, parked, dead)
