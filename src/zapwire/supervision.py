"""The daemon's own health, with what follows from it: the watchdog is fed, the marker touched, the program renewed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from zapwire import systemd
from zapwire.core.codec import timestamp, timestamp_or_none
from zapwire.core.process import Process
from zapwire.core.vitals import PATIENCE, ROUND, Vitals
from zapwire.events import EventType
from zapwire.model import NO_BOT
from zapwire.recycling import Recycling
from zapwire.runs import CRASHED, Run, Start
from zapwire.settings import Settings
from zapwire.store import journal
from zapwire.store.db import Database
from zapwire.transport.base import TransportFactory

logger = logging.getLogger(__name__)


async def tell_start(database: Database, start: Start) -> None:
    """Say why the daemon was started, in the log and as an event."""
    level = logging.ERROR if start.reason == CRASHED else logging.INFO
    alive = f"; its last sign of life was at {start.last_alive:%Y-%m-%d %H:%M:%S} UTC" if start.last_alive else ""
    logger.log(level, "started: %s%s", start.detail, alive)
    data = {
        "reason": start.reason,
        "detail": start.detail,
        "last_started": timestamp_or_none(start.last_started),
        "last_alive": timestamp_or_none(start.last_alive),
        "at": timestamp(start.at),
    }
    await database.write(lambda transaction: journal.append(transaction, EventType.DAEMON_STARTED, NO_BOT, data))


def watch_over(
    settings: Settings,
    database: Database,
    transports: TransportFactory,
    run: Run,
    recycle: Callable[[str], None],
) -> Vitals:
    """Looks after the process; calls *recycle* with the reason when it is to be renewed."""
    recycling = Recycling(
        datetime.now().astimezone(),  # a person says when it is to be, in the machine's own time
        at=settings.recycle_at,
        rss_mb=settings.recycle_when_rss_mb,
        descriptors=settings.recycle_when_descriptors,
    )

    def each(used: Process) -> None:
        run.touch()
        if (why := recycling.due(datetime.now().astimezone(), used)) is not None:
            recycle(why)

    watchdog = systemd.watchdog_seconds()
    return Vitals(
        database,
        transports,
        files=(settings.database_file,),
        well=_nothing if watchdog is None else partial(systemd.notify, "WATCHDOG=1"),
        each=each,
        every=ROUND if watchdog is None else min(ROUND, watchdog / 4),
        patience=PATIENCE if watchdog is None else min(PATIENCE, watchdog / 4),
    )


def _nothing() -> None:
    """Without a watchdog nobody is fed."""
