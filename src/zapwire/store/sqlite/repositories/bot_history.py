"""What each bot was doing: a row for each state and each reason for it, the newest few hundred per bot."""

from __future__ import annotations

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId, HistoryEntry
from zapwire.store.ports import BotHistoryRepository
from zapwire.store.sqlite.repository import Repository

KEPT = 500
"""Rows per bot; older ones are deleted as new ones come."""


class SqliteBotHistory(Repository, BotHistoryRepository):
    """See `BotHistoryRepository`."""

    @override
    def note(self, bot: BotId, *, state: str, code: str | None, reason: str | None, action: str | None) -> None:
        sql, now = self._sql, timestamps.to_ms(timestamps.now())
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

    @override
    def page(self, bot: str, before: int | None, limit: int) -> list[HistoryEntry]:
        rows = self._sql.execute(
            "SELECT n, state, code, reason, action, since, repeated, last FROM bot_history "
            "WHERE bot = ? AND n < ? ORDER BY n DESC LIMIT ?",
            (bot, (1 << 63) - 1 if before is None else before, limit),
        )
        return [
            HistoryEntry(n, state, code, reason, action, timestamps.from_ms(since), repeated, timestamps.from_ms(last))
            for n, state, code, reason, action, since, repeated, last in rows
        ]
