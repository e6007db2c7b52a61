"""When the daemon restarts itself, and how: an orderly stop, then the same program again in the same process.

The engine leaks a little with each start of a bot (docs/engine.md's E8) and Python and Go give memory back late. An
exec gives it all back. It keeps the process id, so systemd sees one service that never stopped, and it works without
any supervisor as well.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from zapwire.runtime import hardening
from zapwire.runtime.process import Process

LEAST_UPTIME: Final = 600.0
"""Seconds before a limit on memory or descriptors counts: one that is too low must not make the daemon spin."""
HELD_MOST: Final = 900.0
"""Seconds that a restart waits for people who link a bot with a passkey; a challenge of WhatsApp lasts 600."""
_MB: Final = 1 << 20


class RestartPolicy:
    """Says when it is time."""

    def __init__(self, started: datetime, *, at: str | None, rss_mb: int | None, descriptors: int | None) -> None:
        """*started* in local time; *at* is `HH:MM` in local time, the next time that comes after the start."""
        self._started = started
        self._at = None if at is None else _next(started, at)
        self._rss_mb = rss_mb
        self._descriptors = descriptors
        self._held_since: datetime | None = None
        self._not_before = started

    def due(self, now: datetime, process: Process, *, held: bool = False) -> str | None:
        """Why it is time now, in words; None when it is not.

        *held*: somebody is at what a restart would make them begin again; it waits for that, for `HELD_MOST` at most.
        """
        why = self._reason(now, process)
        if why is None or not held:
            self._held_since = None
            return why
        self._held_since = self._held_since or now
        return why if (now - self._held_since).total_seconds() >= HELD_MOST else None

    def postpone(self, now: datetime) -> None:
        """Leave it out this time: it is not due again for a day."""
        if self._at is not None:
            self._at = _next(now, f"{self._at:%H:%M}")
        self._not_before = now + timedelta(days=1)

    def _reason(self, now: datetime, process: Process) -> str | None:
        if self._at is not None and now >= self._at:
            return f"it is {self._at:%H:%M}, as restart_at says"
        if (now - self._started).total_seconds() < LEAST_UPTIME or now < self._not_before:
            return None
        if self._rss_mb is not None and process.resident > self._rss_mb * _MB:
            return f"{process.resident // _MB} MB of memory are in use, and restart_when_rss_mb is {self._rss_mb}"
        if self._descriptors is not None and process.descriptors > self._descriptors:
            used = process.descriptors
            return f"{used} descriptors are open, and restart_when_descriptors is {self._descriptors}"
        return None


def _next(after: datetime, at: str) -> datetime:
    hour, minute = map(int, at.split(":"))
    moment = after.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return moment if moment > after + timedelta(minutes=1) else moment + timedelta(days=1)


def execute_again() -> NoReturn:
    """Replace this process by the same program with the same arguments and the environment it was started with."""
    sys.stdout.flush()
    sys.stderr.flush()
    hardening.allow_looking_in()
    if sys.stdout.fileno() != 1:  # diverted from the engine (transport/whatsapp_web/engine/stdout.py)
        os.dup2(sys.stdout.fileno(), 1)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], dict(_first_environment()))  # noqa: S606


def _first_environment() -> Mapping[str, str]:
    """As the kernel keeps it; Python's copy may lack what was taken out on purpose."""
    try:
        raw = Path("/proc/self/environ").read_bytes()
    except OSError:
        return os.environ
    pairs = (os.fsdecode(entry).partition("=") for entry in raw.split(b"\0") if b"=" in entry)
    return {name: value for name, _, value in pairs}
