"""What is old is deleted, in small steps between which everything else is written; never by a clock that jumped."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.errors import StoreError
from zapwire.store.chunked_writes import Step, in_chunks
from zapwire.store.ports import Store, UnitOfWork
from zapwire.store.ports.journal import PROOF, PrunedKind

log = logging.getLogger(__name__)

CLOCK: Final = "clock"
"""The kind of the alert while the clock is not trusted."""
LOOK: Final = 60.0
"""Seconds between two looks at the clock."""
_passed: Final = partial(time.clock_gettime, getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
"""Seconds that cannot be set; those of a machine that slept count, where it can tell."""


async def keep_house(database: Store, limits: Tuning) -> None:
    """Keep the journal and the messages within their bounds, for ever."""
    seen: float | None = None
    pruned: float | None = None
    while True:
        try:
            now = _passed()
            trusted = await look_at_clock(database, None if seen is None else now - seen)
            seen = now
            if trusted and (pruned is None or now - pruned >= limits.housekeeping):
                await prune(database, limits)
                pruned = now
        except StoreError as error:
            log.warning("what is old could not be pruned: %s", error)
        await asyncio.sleep(min(LOOK, limits.housekeeping))


async def look_at_clock(database: Store, passed: float | None) -> bool:
    """Can the time be trusted, *passed* seconds after the last look? If not, that is emitted as an alert."""
    now = timestamps.now()
    trusted = await database.write(lambda unit: unit.clock.note(now=now, passed=passed))
    database.alert(CLOCK, None if trusted is None else _words(now, trusted))
    return trusted is None


def _words(now: datetime, trusted: datetime) -> str:
    off = now - trusted
    days, way = abs(off) / timedelta(days=1), "ahead of" if off > timedelta() else "behind"
    return (
        f"the clock is {days:.0f} days {way} the last time that could be trusted ({trusted:%Y-%m-%d %H:%M} UTC): "
        f"nothing old is deleted until it has gone on without a jump for {PROOF / 3600:.0f} hours; if it is "
        "wrong, set it"
    )


async def prune(database: Store, limits: Tuning) -> None:
    """Delete what is too old now, and tell the endpoints what they missed by it. Raises `StoreError`."""
    now = timestamps.now()
    oldest_event, oldest_message = (
        now - timedelta(seconds=seconds) for seconds in (limits.keep_events, limits.keep_messages)
    )
    upto = await database.read(lambda view: view.journal.prune_point(oldest_event, now))
    steps: list[Step] = [lambda unit, limit: unit.retention.prune_events(limit, upto)]
    steps += [
        partial(_prune_rows, kind=kind, oldest=oldest_event if kind is PrunedKind.DELIVERED else oldest_message)
        for kind in PrunedKind
    ]
    for step in steps:
        await in_chunks(database.write, step, rest=limits.prune_pause)
    await database.write(lambda unit: unit.retention.tell_gaps())


def _prune_rows(transaction: UnitOfWork, limit: int, kind: PrunedKind, oldest: datetime) -> int:
    return transaction.retention.prune_rows(limit, kind, oldest)
