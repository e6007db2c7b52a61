"""What is written about an endpoint by ourselves: it is disabled, or what failed is retried at once."""

from __future__ import annotations

from datetime import datetime

from zapwire.core.events import serializers
from zapwire.model.bots import NO_BOT
from zapwire.model.events import EventType
from zapwire.store.ports import Store, UnitOfWork


def disable(transaction: UnitOfWork, endpoint: str, reason: str) -> None:
    """Disable an endpoint and emit that (`webhook.disabled`), unless that was done before."""
    if transaction.endpoints.disable(endpoint, reason):
        found = transaction.endpoints.get(endpoint)
        assert found is not None  # noqa: S101 - just updated
        transaction.journal.append(EventType.WEBHOOK_DISABLED, NO_BOT, serializers.disabled_json(found))


async def make_due(database: Store, endpoint: str, since: datetime | None = None) -> None:
    """Let what waits after a failed attempt, not made before *since*, be due now. Raises `StoreError`."""
    while await database.write(lambda unit: unit.delivery_queue.make_due(endpoint=endpoint, since=since)):
        pass
