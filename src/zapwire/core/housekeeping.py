"""What is old is deleted, in small steps between which everything else is written."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from functools import partial

from zapwire.core.limits import Limits
from zapwire.errors import StoreError
from zapwire.store import journal, retention, times
from zapwire.store.chunks import Step, in_chunks
from zapwire.store.db import Database

log = logging.getLogger(__name__)


async def keep_house(database: Database, limits: Limits) -> None:
    """Keep the journal and the messages within their bounds, for ever."""
    while True:
        try:
            await prune(database, limits)
        except StoreError as error:
            log.warning("what is old could not be pruned: %s", error)
        await asyncio.sleep(limits.housekeeping)


async def prune(database: Database, limits: Limits) -> None:
    """Delete what is too old now, and tell the endpoints what they missed by it. Raises `StoreError`."""
    now = times.now()
    oldest_event, oldest_message = (
        now - timedelta(seconds=seconds) for seconds in (limits.keep_events, limits.keep_messages)
    )
    upto = await database.read(lambda sql: journal.prune_point(sql, oldest_event, now))
    steps: list[Step] = [partial(retention.prune_events, upto=upto)]
    steps += [
        partial(retention.prune_rows, kind=kind, oldest=oldest_event if kind == "delivered" else oldest_message)
        for kind in retention.KINDS
    ]
    for step in steps:
        await in_chunks(database.write, step, rest=limits.prune_pause)
    await database.write(retention.tell_gaps)
