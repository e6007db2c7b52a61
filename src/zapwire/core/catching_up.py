"""What failed before is tried again at once, when there is reason to hope."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from zapwire.store import deliveries
from zapwire.store.db import Database


async def make_due(database: Database, endpoint: str, since: datetime | None = None) -> None:
    """Let what waits after a failed attempt, not made before *since*, be due now. Raises `StoreError`."""
    while await database.write(partial(deliveries.make_due, endpoint=endpoint, since=since)):
        pass
