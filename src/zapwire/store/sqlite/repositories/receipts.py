"""Receipts of single recipients, of messages that have several."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.messages import MessageState, Party, RecipientState
from zapwire.store.ports import ReceiptRepository
from zapwire.store.sqlite.repository import Repository

_RANK: Final = {
    state: rank for rank, state in enumerate((MessageState.DELIVERED, MessageState.READ, MessageState.PLAYED))
}
_MOST: Final = 2048
"""Recipients of one message that are noted: more than a group has members."""


class SqliteReceipts(Repository, ReceiptRepository):
    """See `ReceiptRepository`."""

    @override
    def note(self, bot: BotId, whatsapp_id: str, recipient: str, state: MessageState, at: datetime) -> None:
        key = (bot, whatsapp_id, recipient)
        known = self._sql.execute(
            "SELECT state FROM receipts WHERE bot = ? AND whatsapp_id = ? AND recipient = ?", key
        ).fetchone()
        if known is None:
            query = "SELECT count(*) FROM receipts WHERE bot = ? AND whatsapp_id = ?"
            if self._sql.execute(query, key[:2]).fetchone()[0] >= _MOST:
                return
        elif _RANK.get(known[0], 0) >= _RANK[state]:
            return
        self._sql.execute(
            "INSERT OR REPLACE INTO receipts (bot, whatsapp_id, recipient, state, at) VALUES (?, ?, ?, ?, ?)",
            (*key, state, timestamps.to_ms(at)),
        )

    @override
    def of(self, bot: BotId, whatsapp_id: str) -> list[RecipientState]:
        rows = self._sql.execute(
            "SELECT recipient, state, at FROM receipts WHERE bot = ? AND whatsapp_id = ? ORDER BY at, recipient",
            (bot, whatsapp_id),
        ).fetchall()
        return [
            RecipientState(self._party(bot, recipient), state, timestamps.from_ms(at))
            for recipient, word, at in rows
            if (state := MessageState.__members__.get(str(word).upper())) is not None
        ]

    def _party(self, bot: BotId, person: str) -> Party:
        return self._unit.persons.by_id(bot, person) or Party("", id=person)
