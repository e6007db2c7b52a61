"""The daemon's own health, with what follows from it: the watchdog is fed, the marker touched, the program renewed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial

from zapwire.core.bots.registry import BotRegistry
from zapwire.core.events.serializers import timestamp, timestamp_or_none
from zapwire.core.monitoring.self_check import PATIENCE, ROUND, SelfCheck
from zapwire.core.monitoring.snapshot import figures_of
from zapwire.daemon.canary import Canary
from zapwire.daemon.self_restart import RestartPolicy
from zapwire.model.bots import NO_BOT
from zapwire.model.events import EventType
from zapwire.runtime import systemd
from zapwire.runtime.process import Process
from zapwire.runtime.run_marker import CRASHED, RunMarker, RunStart
from zapwire.settings import Settings
from zapwire.store.sqlite.database import Database
from zapwire.transport.registry import TransportRegistry

logger = logging.getLogger(__name__)


async def emit_start(database: Database, start: RunStart) -> None:
    """Say why the daemon was started, in the log and as an event."""
    level = logging.ERROR if start.reason == CRASHED else logging.INFO
    alive = f"; its last sign of life was at {start.last_alive:%Y-%m-%d %H:%M:%S} UTC" if start.last_alive else ""
    logger.log(level, "started: %s%s", start.detail, alive)
    data = {
        "reason": start.reason,
        "detail": start.detail,
        "last_started_at": timestamp_or_none(start.last_started),
        "last_alive_at": timestamp_or_none(start.last_alive),
        "at": timestamp(start.at),
    }
    await database.write(lambda transaction: transaction.journal.append(EventType.DAEMON_STARTED, NO_BOT, data))


@asynccontextmanager
async def watch_over(
    settings: Settings,
    database: Database,
    transports: TransportRegistry,
    run: RunMarker,
    self_restart: Callable[[str], None],
    *,
    bots: BotRegistry,
) -> AsyncIterator[SelfCheck]:
    """Look after the process; *self_restart* is called with the reason when it has to be restarted.

    A person who links a bot with a passkey just now, and a canary that WhatsApp refused, put that off.
    """
    started = datetime.now().astimezone()  # a person says when it is to be, in the machine's own time
    restarting = RestartPolicy(
        started,
        at=settings.restart_at,
        rss_mb=settings.restart_when_rss_mb,
        descriptors=settings.restart_when_descriptors,
    )
    canary = Canary(bots, settings.canary, started) if settings.canary else None

    def each(used: Process) -> None:
        run.touch()
        now = datetime.now().astimezone()
        why = restarting.due(now, used, held=bots.any_at_passkey())
        if why is not None and canary is None:
            self_restart(why)
        elif why is not None and canary is not None:
            canary.check(now, partial(self_restart, why), partial(restarting.postpone, now))
        elif canary is not None and canary.due(now):
            canary.check(now, _nothing, _nothing)

    def more() -> Iterator[tuple[str, str | None]]:
        yield "outdated", _outdated(bots.outdated(), transports)
        yield "canary", None if canary is None else canary.problem

    watchdog = systemd.watchdog_seconds()
    check = SelfCheck(
        database,
        transports,
        files=(settings.database_file,),
        well=_nothing if watchdog is None else partial(systemd.notify, "WATCHDOG=1"),
        each=each,
        more=more,
        every=ROUND if watchdog is None else min(ROUND, watchdog / 4),
        patience=PATIENCE if watchdog is None else min(PATIENCE, watchdog / 4),
    )
    try:
        async with check:
            yield check
    finally:
        if canary is not None:
            await canary.close()


def _outdated(bots: int, transports: TransportRegistry) -> str | None:
    if not bots:
        return None
    version = figures_of(transports).version
    what = "1 bot is" if bots == 1 else f"{bots} bots are"
    words = f"{what} blocked: WhatsApp no longer accepts version {version.announced} (405)"
    if not version.follows:
        return f"{words}; install a newer zapwire, or set whatsapp_version to auto, which announces the newest"
    newest = f"; the newest known is {version.newest}" if version.newest else ""
    return f"{words}{newest}; install a newer zapwire" + (f" ({version.problem})" if version.problem else "")


def _nothing() -> None:
    """Without a watchdog nobody is fed."""
