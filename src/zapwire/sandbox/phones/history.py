"""The history that a phone gives a new companion: none, said in the way that clients wait for.

Protocol source: whatsmeow's message.go (DownloadHistorySync) and Baileys' Utils/history.ts.
"""

from __future__ import annotations

import zlib

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import HistorySyncType, Message, ProtocolMessage
from neonize.proto.waHistorySync.WAWebProtobufsHistorySync_pb2 import HistorySync

from zapwire.sandbox.phones.content import E2EMessage


def nothing_before() -> E2EMessage:
    """The message that ends a new companion's wait for history. Baileys holds back all events until it comes."""
    history = HistorySync(syncType=HistorySync.INITIAL_BOOTSTRAP, chunkOrder=1, progress=100)
    message = Message()
    message.protocolMessage.type = ProtocolMessage.HISTORY_SYNC_NOTIFICATION
    notice = message.protocolMessage.historySyncNotification
    notice.syncType, notice.chunkOrder, notice.progress = HistorySyncType.INITIAL_BOOTSTRAP, 1, 100
    notice.initialHistBootstrapInlinePayload = zlib.compress(history.SerializeToString())
    return message
