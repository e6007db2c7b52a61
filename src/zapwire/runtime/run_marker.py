"""Why the daemon was started: a marker in the sessions folder says how the run before this one ended.

A process that is killed, or that Go aborts (docs/engine.md's E1, E22), has no last words. So the marker is written at
the start, touched as a sign of life, and completed by an orderly stop; one that is not complete tells of a crash.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from zapwire.runtime import durable_files

logger = logging.getLogger(__name__)

NAME: Final = "run.json"
FIRST: Final = "first-start"
STOPPED: Final = "stopped"
RESTARTED: Final = "restarted"
_BEFORE_0_2: Final = "recycled"
"""What `RESTARTED` was called."""
CRASHED: Final = "crashed"
REBOOTED: Final = "rebooted"

_WORDS: Final = {
    FIRST: "it is the first start",
    STOPPED: "the last run was stopped in order",
    RESTARTED: "the last run restarted itself",
    CRASHED: "the last run ended without a stop: it was killed, or it crashed",
    REBOOTED: "the last run ended without a stop, and the machine was started again since",
}

_DAMAGE: Final = (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""What reading a damaged marker may raise."""


@dataclass(frozen=True, slots=True)
class RunStart:
    """This start and what came before it."""

    reason: str
    """`first-start`, `stopped`, `restarted`, `crashed` or `rebooted`: how the run before ended."""
    detail: str
    """The same in a sentence."""
    at: datetime
    last_started: datetime | None = None
    last_alive: datetime | None = None
    """When the run before gave its last sign of life; exact to the half minute after a crash."""


class RunMarker:
    """The marker of this run; made by `begin`."""

    def __init__(self, file: Path, start: RunStart, databases: list[str]) -> None:
        self._file = file
        self._databases = databases
        self.start = start

    @classmethod
    def begin(cls, folder: Path, database: Path, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> RunMarker:
        """Read how the last run ended, and note that this one runs, on *database*. The folder's lock must be held."""
        file = folder / NAME
        used = dict.fromkeys([*_remembered(folder), str(database.resolve())])
        run = cls(file, _judge(file, now()), list(used))
        run._write(None)
        return run

    def touch(self) -> None:
        """A sign of life."""
        try:
            os.utime(self._file)
        except OSError as error:
            logger.debug("the sign of life cannot be given: %s", error)

    def end(self, how: str) -> None:
        """This run ends in order: `STOPPED` or `RESTARTED`."""
        self._write(how)

    def _write(self, ended: str | None) -> None:
        content = {
            "started": self.start.at.isoformat(),
            "pid": os.getpid(),
            "boot": _boot(),
            "ended": ended,
            "databases": self._databases,
        }
        try:
            durable_files.publish(self._file, [json.dumps(content).encode()])
        except OSError as error:  # a full disk is no reason not to run
            logger.warning(
                "%s cannot be written, so the next start will not know how this run ended: %s", self._file, error
            )


class Unreadable(Exception):
    """It cannot be said which databases were used; says why."""


def databases(folder: Path) -> list[Path]:
    """The databases that daemons of this folder ever used, but for those that are certainly gone: its key seals them
    all.

    One that may not be looked for counts as there. Raises `Unreadable`.
    """
    file = folder / NAME
    try:
        found = json.loads(file.read_text())["databases"]
    except FileNotFoundError:
        return []
    except _DAMAGE as error:
        message = f"{file} cannot be read ({error})"
        raise Unreadable(message) from None
    if not isinstance(found, list) or not all(isinstance(path, str) for path in found):
        message = f"{file} does not list databases"
        raise Unreadable(message)
    return [path for path in map(Path, found) if not _is_gone(path)]


def _remembered(folder: Path) -> list[str]:
    """The same for a start, which nothing of this may stop."""
    try:
        found = databases(folder)
    except Unreadable as error:
        logger.warning("%s: which databases were used before is not known any more", error)
        return []
    hidden = [str(path) for path in found if not _can_be_seen(path)]
    if hidden:
        logger.warning("this user may not look whether %s, used here before, is still there", ", ".join(hidden))
    return list(map(str, found))


def _is_gone(path: Path) -> bool:
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def _can_be_seen(path: Path) -> bool:
    try:
        path.stat()
    except OSError:
        return False
    return True


def _judge(file: Path, at: datetime) -> RunStart:
    try:
        content = json.loads(file.read_text())
        started = datetime.fromisoformat(content["started"]).astimezone(UTC)
        ended, boot = content["ended"], content["boot"]
        alive = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    except FileNotFoundError:
        return RunStart(FIRST, _WORDS[FIRST], at)
    except _DAMAGE:
        return RunStart(CRASHED, f"{_WORDS[CRASHED]} ({file} cannot be read)", at)
    ended = RESTARTED if ended == _BEFORE_0_2 else ended
    reason = ended if ended in {STOPPED, RESTARTED} else CRASHED if boot == _boot() else REBOOTED
    return RunStart(reason, _WORDS[reason], at, started, alive)


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
