"""Disabling an endpoint by ourselves, which its owner has to hear of in some other way."""

from __future__ import annotations

from zapwire.core import codec
from zapwire.events import EventType
from zapwire.model import NO_BOT
from zapwire.store import journal, webhooks
from zapwire.store.db import Transaction


def disable(transaction: Transaction, endpoint: str, reason: str) -> None:
    """Disable an endpoint and tell it (`webhook.disabled`), unless that was done before."""
    if webhooks.disable(transaction, endpoint, reason):
        found = webhooks.get(transaction.sql, endpoint)
        assert found is not None  # noqa: S101 - just updated
        journal.append(transaction, EventType.WEBHOOK_DISABLED, NO_BOT, codec.disabled_json(found))
