"""History that the phone offers: a message of its own account that says where it is, and the keys.

Source: whatsmeow, message.go (`handleProtocolMessage`). Strangers may send the same content: it counts for nothing.
"""

from __future__ import annotations

from typing import Any, Final

from zapwire.transport.protocol import HistoryOffered
from zapwire.transport.whatsapp_web.engine.protos import e2e
from zapwire.transport.whatsapp_web.engine.untrusted_text import moment_of, text_of

LARGEST: Final = 1 << 20
"""Bytes of a notice; a small history is in the notice itself."""


def read_offer(event: Any) -> HistoryOffered | None:
    """The offer in a `Neonize.Message`, if it is one."""
    part = event.Message.protocolMessage
    if part.type != e2e.ProtocolMessage.HISTORY_SYNC_NOTIFICATION or not part.HasField("historySyncNotification"):
        return None
    if not event.Info.MessageSource.IsFromMe:
        return None
    notice: bytes = part.historySyncNotification.SerializeToString()
    if len(notice) > LARGEST:
        return None
    return HistoryOffered(text_of(event.Info.ID), moment_of(event.Info.Timestamp / 1000), notice)
