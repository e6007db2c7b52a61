"""How fast each bot may write, and to whom it wrote for the first time today."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.errors import InvalidInput
from zapwire.model.pacing import PacingOptions
from zapwire.runtime.json_encoder import encode
from zapwire.store.ports import PacingRepository
from zapwire.store.sqlite.repository import Repository

_EPOCH = date(1970, 1, 1)


class SqlitePacing(Repository, PacingRepository):
    """See `PacingRepository`."""

    @override
    def of(self, bot: BotId) -> tuple[PacingOptions | None, datetime | None]:
        row = self._sql.execute("SELECT options, linked_at FROM pacing WHERE bot = ?", (bot,)).fetchone()
        if row is None:
            return None, None
        return _options(row[0]), timestamps.from_ms_or_none(row[1])

    @override
    def save(self, bot: BotId, options: PacingOptions | None) -> None:
        text = None if options is None else encode(asdict(options))
        self._sql.execute(
            "INSERT INTO pacing (bot, options) VALUES (?, ?) ON CONFLICT DO UPDATE SET options = excluded.options",
            (bot, text),
        )

    @override
    def linked(self, bot: BotId, at: datetime) -> None:
        self._sql.execute(
            "INSERT INTO pacing (bot, linked_at) VALUES (?, ?) "
            "ON CONFLICT DO UPDATE SET linked_at = excluded.linked_at",
            (bot, timestamps.to_ms(at)),
        )

    @override
    def new_chats(self, bot: BotId, day: date) -> int:
        query = "SELECT count(*) FROM new_chats WHERE bot = ? AND day = ?"
        return int(self._sql.execute(query, (bot, (day - _EPOCH).days)).fetchone()[0])

    @override
    def is_counted(self, bot: BotId, day: date, chat: str) -> bool:
        query = "SELECT 1 FROM new_chats WHERE bot = ? AND day = ? AND chat = ?"
        return self._sql.execute(query, (bot, (day - _EPOCH).days, chat)).fetchone() is not None

    @override
    def count(self, bot: BotId, day: date, chat: str) -> None:
        number = (day - _EPOCH).days
        self._sql.execute("DELETE FROM new_chats WHERE bot = ? AND day < ?", (bot, number - 1))
        self._sql.execute("INSERT OR IGNORE INTO new_chats (bot, day, chat) VALUES (?, ?, ?)", (bot, number, chat))


def _options(text: str | None) -> PacingOptions | None:
    """What is stored; None also for what this version cannot read, so that the daemon's options count."""
    if text is None:
        return None
    try:
        return PacingOptions(**json.loads(text))
    except (ValueError, TypeError, InvalidInput):
        return None
