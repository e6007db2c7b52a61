"""How much waits in the database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from zapwire.store import times
from zapwire.store.deleted import GONE_BOTS, GONE_ENDPOINTS

WEBHOOKS: Final = ("working", "failing", "unreachable", "paused", "disabled")
"""How a webhook does: takes what comes, has just refused something, cannot be reached, is held back or off."""
_WEBHOOKS_BY_STATE: Final = """
    SELECT CASE WHEN NOT enabled THEN 'disabled' WHEN paused THEN 'paused' WHEN unreachable_since IS NOT NULL
        THEN 'unreachable' WHEN failing_since IS NOT NULL THEN 'failing' ELSE 'working' END AS state, count(*)
    FROM endpoints WHERE deleted_at IS NULL GROUP BY state
"""


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
    """Deliveries that were given up and are kept."""
    webhooks: dict[str, int]
    """By how they do: every one of `WEBHOOKS` is there."""


def backlog(sql: sqlite3.Connection) -> Backlog:
    """Count what waits; quick, as only what waits is looked at."""
    rows = sql.execute(
        "SELECT bot, count(*), min(created_at) FROM outbox WHERE state IN ('queued', 'sending') "  # noqa: S608 - constant
        f"AND bot NOT IN {GONE_BOTS} GROUP BY bot"
    )
    outbox = {bot: Waiting(count, times.from_ms(oldest)) for bot, count, oldest in rows}
    there = f"endpoint NOT IN {GONE_ENDPOINTS}"
    parked_query = f"SELECT count(*) FROM deliveries WHERE due IS NOT NULL AND {there}"  # noqa: S608 - constant
    (parked,) = sql.execute(parked_query).fetchone()
    (dead,) = sql.execute(f"SELECT count(*) FROM dead_letters WHERE {there}").fetchone()  # noqa: S608 - constant
    found = dict.fromkeys(WEBHOOKS, 0)
    for state, count in sql.execute(_WEBHOOKS_BY_STATE):
        found[state] = count
    return Backlog(outbox, parked, dead, found)
