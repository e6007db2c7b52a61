"""Is the daemon itself alive: event loop, database, engine; and what it uses of the machine.

A watchdog outside (systemd's) is fed only after a round in which all three answered. A database that *refuses* (a full
disk) has answered: it is reported and makes `/readyz` fail, but a restart would not free the disk.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from zapwire.core.retention import CLOCK
from zapwire.model.bots import NO_BOT
from zapwire.model.errors import StoreError, ZapwireError
from zapwire.model.events import EventType
from zapwire.runtime.file_identity import identity
from zapwire.runtime.process import Process, process
from zapwire.runtime.tasks import spawn, supervise
from zapwire.store.ports import Store, UnitOfWork
from zapwire.transport.protocol import Watched
from zapwire.transport.registry import TransportRegistry

log = logging.getLogger(__name__)

ROUND: Final = 5.0
"""Seconds between two looks."""
PATIENCE: Final = 8.0
"""Seconds that the database and the engine get to answer."""
LATE: Final = 1.0
"""Seconds by which the event loop may be late before it is reported."""
STALLED: Final = 5.0
"""Seconds of a standing event loop after which the log says where it stands."""
DESCRIPTORS: Final = 0.8
"""Share of the descriptors in use that is reported."""
SETTLED: Final = 1800.0
"""Seconds after the start at which memory and descriptors are taken as the measure of growth."""
GROWN: Final = 2.0
_NAMED: Final = 20
"""Damaged values that one alert names."""
_MB: Final = 1 << 20


KINDS: Final = (
    *("loop", "database", "engine", "descriptors", "memory", "leak", "files", "damaged", CLOCK),
    *("outdated", "canary"),
)
"""Of alerts."""


class Verdict(Enum):
    """How something behaved when it was asked."""

    ANSWERED = "answered"
    REFUSES = "refuses"
    """It answers, and says that it cannot work: a restart would not help."""
    NO_ANSWER = "no answer"


@dataclass(frozen=True, slots=True)
class CheckAnswer:
    """What came of asking."""

    verdict: Verdict
    words: str | None = None
    """What is the matter, for people."""


_FINE: Final = CheckAnswer(Verdict.ANSWERED)


class SelfCheck:
    """Looks after the process; an async context manager."""

    def __init__(
        self,
        database: Store,
        transports: TransportRegistry,
        *,
        files: tuple[Path, ...] = (),
        well: Callable[[], None] = lambda: None,
        each: Callable[[Process], None] = lambda _: None,
        more: Callable[[], Iterable[tuple[str, str | None]]] = tuple,
        every: float = ROUND,
        patience: float = PATIENCE,
    ) -> None:
        """*well* is called after each round in which everything answered, *each* after every round; *more* are
        kinds of alerts that others decide, with words, or None when all is well. *files* are those that must not be
        replaced or deleted while they are open.
        """
        self._database = database
        self._transports = transports
        self._files = {file: identity(file) for file in files}
        self._well = well
        self._each = each
        self._more = more
        self._every = every
        self._patience = patience
        self._started = time.monotonic()
        self._measure: Process | None = None
        self._guard = LoopGuard()
        self._untold: list[dict[str, object]] = []
        self.database = _FINE
        """What the database answered in the last round; before the first one it has just been opened."""
        self.alerts: dict[str, str] = {}
        """What is the matter now: kind and words."""

    async def __aenter__(self) -> Self:
        self._guard.start()
        process()  # opens what it keeps open, while there are descriptors
        self._task = spawn(supervise("the look at the daemon's health", self._look), "vitals")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._guard.stop()
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _look(self) -> None:
        while True:
            await self.round()
            await asyncio.sleep(self._every)

    async def round(self) -> None:
        """One look at everything."""
        database, engine = await asyncio.gather(self._ask_database(), self._ask_engine())
        self._judge("loop", self._late())
        self._judge("database", database.words)
        self._judge("engine", engine.words)
        used = process()
        for kind, words in (*self._uses(used), *self._looks_at_files(), *self._more()):
            self._judge(kind, words)
        self._judge(CLOCK, self._database.alerts.get(CLOCK))
        self._note_damages()
        self.database = database
        if Verdict.NO_ANSWER not in {database.verdict, engine.verdict}:
            self._well()
        self._each(used)
        await self._tell()

    async def _ask_database(self) -> CheckAnswer:
        try:
            async with asyncio.timeout(self._patience):
                await self._database.write(lambda unit: unit.beat())
        except TimeoutError:
            return self._silent("database")
        except StoreError as error:
            return CheckAnswer(Verdict.REFUSES, error.detail)
        return _FINE

    async def _ask_engine(self) -> CheckAnswer:
        engines = [one for one in self._transports.factories if isinstance(one, Watched)]
        try:
            async with asyncio.timeout(self._patience):
                await asyncio.gather(*(engine.answers() for engine in engines))
        except TimeoutError:
            return self._silent("engine")
        except ZapwireError as error:
            return CheckAnswer(Verdict.REFUSES, error.detail)
        stuck = sum(engine.stuck() for engine in engines)
        words = f"{stuck} calls of the engine have not returned for minutes" if stuck else None
        return CheckAnswer(Verdict.ANSWERED, words)

    def _silent(self, what: str) -> CheckAnswer:
        return CheckAnswer(Verdict.NO_ANSWER, f"the {what} does not answer within {self._patience:g} s")

    def _late(self) -> str | None:
        worst = self._guard.worst()
        return f"the event loop was late by {worst:.1f} s" if worst > LATE else None

    def _uses(self, used: Process) -> Iterator[tuple[str, str | None]]:
        most = used.descriptors_most
        full = most and used.descriptors > most * DESCRIPTORS
        yield "descriptors", f"{used.descriptors} of {most} descriptors are open" if full else None
        if self._measure is None and time.monotonic() - self._started > SETTLED:
            self._measure = used
        first = self._measure or used
        grown = used.resident > first.resident * GROWN and used.resident > 256 * _MB
        memory = f"memory grew from {first.resident // _MB} to {used.resident // _MB} MB since the start"
        yield "memory", memory if grown else None
        leaks = used.descriptors > first.descriptors * GROWN and used.descriptors > 512
        open_now = f"open descriptors grew from {first.descriptors} to {used.descriptors} since the start"
        yield "leak", open_now if leaks else None

    def _looks_at_files(self) -> Iterator[tuple[str, str | None]]:
        gone = [str(file) for file, inode in self._files.items() if identity(file) != inode]
        words = f"{', '.join(gone)} was deleted or replaced while in use: what is written from now on is lost"
        yield "files", words if gone else None

    def _note_damages(self) -> None:
        """What does not open is reported once; it is over when it was deleted, or with the daemon."""
        news, words = self._database.damages.news(), self._database.damages.words
        if news:
            more = f", and {len(news) - _NAMED} more" if len(news) > _NAMED else ""
            detail = f"the database is damaged: {'; '.join(news[:_NAMED])}{more}"
            self._untold.append({"kind": "damaged", "state": "raised", "detail": detail})
            self.alerts["damaged"] = detail
        if words is not None:
            self.alerts["damaged"] = words
        elif (before := self.alerts.pop("damaged", None)) is not None:
            self._untold.append({"kind": "damaged", "state": "cleared", "detail": before})

    def _judge(self, kind: str, words: str | None) -> None:
        if words is None and kind in self.alerts:
            log.warning("over: %s", before := self.alerts.pop(kind))
            self._untold.append({"kind": kind, "state": "cleared", "detail": before})
        elif words is not None:
            if kind not in self.alerts:
                log.error("%s", words)
                self._untold.append({"kind": kind, "state": "raised", "detail": words})
            self.alerts[kind] = words

    async def _tell(self) -> None:
        """Write the events; what the database does not take is retried in the next round."""
        del self._untold[:-100]
        news = [*self._untold]

        def work(transaction: UnitOfWork) -> None:
            for data in news:
                transaction.journal.append(EventType.DAEMON_ALERT, NO_BOT, data)

        if not news:
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._database.write(work)
        except (StoreError, TimeoutError):
            return
        self._untold.clear()


class LoopGuard:
    """Notices from a thread of its own how late the event loop is, and says in the log where it stands."""

    def __init__(self, every: float = 0.5, stalled: float = STALLED) -> None:
        self._every = every
        self._stalled = stalled
        self._ended = threading.Event()
        self._worst = 0.0

    def start(self) -> None:
        """Begin; on the loop's thread."""
        loop, thread = asyncio.get_running_loop(), threading.get_ident()
        threading.Thread(target=self._watch, args=(loop, thread), name="loop-guard", daemon=True).start()

    def stop(self) -> None:
        """The thread ends by itself soon after."""
        self._ended.set()

    def worst(self) -> float:
        """The largest delay, in seconds, since this was last asked."""
        worst, self._worst = self._worst, 0.0
        return worst

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._ended.wait(self._every):
            asked, turned = time.monotonic(), threading.Event()
            try:
                loop.call_soon_threadsafe(turned.set)
            except RuntimeError:
                return
            if not turned.wait(self._stalled):
                frame = sys._current_frames().get(thread)  # noqa: SLF001 - the documented way to another thread's stack
                where = "".join(traceback.format_stack(frame)) if frame is not None else "unknown"
                log.error("the event loop has stood for %g s, here:\n%s", self._stalled, where)
                while not turned.wait(1) and not self._ended.is_set():
                    pass
            self._worst = max(self._worst, time.monotonic() - asked)
