"""What each bot was doing: a row for each state and each reason for it, the newest few hundred per bot."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from zapwire.model import BotId
from zapwire.store import times
from zapwire.store.db import Transaction

KEPT = 500
"""Rows per bot; older ones are deleted as new ones come."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A state that a bot was in, from *since* until the next entry's."""

    n: int
    """Grows; the cursor of pages."""
    state: str
    code: str | None
    reason: str | None
    action: str | None
    since: datetime
    repeated: int
    """How often the same was told again: attempts that failed alike."""
    last: datetime
    """When it was told last."""


def note(
    transaction: Transaction, bot: BotId, *, state: str, code: str | None, reason: str | None, action: str | None
) -> None:
    """Add an entry, or count a repeat of the newest one."""
    sql, now = transaction.sql, times.to_ms(times.now())
    newest = sql.execute(
        "SELECT n, state, code, reason, action FROM bot_history WHERE bot = ? ORDER BY n DESC LIMIT 1", (bot,)
    ).fetchone()
    if newest is not None and tuple(newest[1:]) == (state, code, reason, action):
        sql.execute("UPDATE bot_history SET repeated = repeated + 1, last = ? WHERE n = ?", (now, newest[0]))
        return
    sql.execute(
        "INSERT INTO bot_history (bot, state, code, reason, action, since, repeated, last) "
        "VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
        (bot, state, code, reason, action, now, now),
    )
    sql.execute(
        "DELETE FROM bot_history WHERE bot = ? AND n <= "
        "(SELECT n FROM bot_history WHERE bot = ? ORDER BY n DESC LIMIT 1 OFFSET ?)",
        (bot, bot, KEPT),
    )


def page(sql: sqlite3.Connection, bot: str, before: int | None, limit: int) -> list[Entry]:
    """Up to *limit* entries from before the entry *before* (None: the newest), newest first."""
    rows = sql.execute(
        "SELECT n, state, code, reason, action, since, repeated, last FROM bot_history "
        "WHERE bot = ? AND n < ? ORDER BY n DESC LIMIT ?",
        (bot, (1 << 63) - 1 if before is None else before, limit),
    )
    return [
        Entry(n, state, code, reason, action, times.from_ms(since), repeated, times.from_ms(last))
        for n, state, code, reason, action, since, repeated, last in rows
    ]
