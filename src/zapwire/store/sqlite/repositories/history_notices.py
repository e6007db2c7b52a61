"""What the phone said about the history that it offers: where WhatsApp keeps it, and the keys. Sealed.

The history itself is not fetched; this is what it takes to do so later. Of each bot the newest are kept, and none of an
account that it has lost.
"""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.store.ports import HistoryNoticeRepository
from zapwire.store.sqlite.repository import Repository
from zapwire.store.sqlite.sealed_values import DamagedValue

KEPT: Final = 512
"""Of one bot; a phone offers some dozens."""
_PLACE: Final = "history_notices.notice"


class SqliteHistoryNotices(Repository, HistoryNoticeRepository):
    """See `HistoryNoticeRepository`."""

    @override
    def keep(self, bot: BotId, whatsapp_id: str, offered_at: datetime, notice: bytes) -> None:
        sql = self._sql
        sealed = sql.values.seal(_PLACE, f"{bot}/{whatsapp_id}", base64.b64encode(notice).decode())
        sql.execute(
            "DELETE FROM history_notices WHERE bot = ? AND account <> (SELECT account FROM bots WHERE id = bot)", (bot,)
        )
        sql.execute(
            "INSERT OR IGNORE INTO history_notices (bot, account, whatsapp_id, offered_at, notice) "
            "SELECT id, account, ?, ?, ? FROM bots WHERE id = ?",
            (whatsapp_id, timestamps.to_ms(offered_at), sealed, bot),
        )
        sql.execute(
            "DELETE FROM history_notices WHERE bot = ? AND n <= "
            "(SELECT n FROM history_notices WHERE bot = ? ORDER BY n DESC LIMIT 1 OFFSET ?)",
            (bot, bot, KEPT),
        )

    @override
    def of(self, bot: BotId) -> list[bytes]:
        rows = self._sql.execute(
            "SELECT whatsapp_id, notice FROM history_notices JOIN bots ON bots.id = bot "
            "WHERE bot = ? AND history_notices.account = bots.account ORDER BY n",
            (bot,),
        )
        found: list[bytes] = []
        for whatsapp_id, sealed in rows:
            try:
                found.append(base64.b64decode(self._values.open(_PLACE, f"{bot}/{whatsapp_id}", sealed)))
            except DamagedValue:
                continue
        return found
