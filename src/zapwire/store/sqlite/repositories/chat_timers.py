"""After how long messages of a chat disappear."""

from __future__ import annotations

from datetime import datetime

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.store.ports import ChatTimerRepository
from zapwire.store.sqlite.repository import Repository


class SqliteChatTimers(Repository, ChatTimerRepository):
    """See `ChatTimerRepository`."""

    @override
    def of(self, bot: BotId, chat: str) -> int:
        row = self._sql.execute("SELECT seconds FROM chat_timers WHERE bot = ? AND chat = ?", (bot, chat)).fetchone()
        return 0 if row is None else int(row[0])

    @override
    def told(self, bot: BotId, chat: str, seconds: int, at: datetime) -> None:
        moment = timestamps.to_ms(at)
        known = self._sql.execute(
            "SELECT seconds, told_at FROM chat_timers WHERE bot = ? AND chat = ?", (bot, chat)
        ).fetchone()
        present, since = (0, 0) if known is None else known
        if present == seconds or since > moment:
            return
        self._sql.execute(
            "INSERT OR REPLACE INTO chat_timers (bot, chat, seconds, told_at) VALUES (?, ?, ?, ?)",
            (bot, chat, seconds, moment),
        )
