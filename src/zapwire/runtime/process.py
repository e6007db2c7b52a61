"""What this process uses, from the kernel; and how late its event loop is."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
import time
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Final, Self

from zapwire.runtime.instruments import Timing
from zapwire.runtime.tasks import spawn, supervise

_LOOK_EVERY: Final = 0.5
STARTED: Final = time.time()
"""When this program began, in seconds since 1970; a renewal is a new one in the same process."""


@dataclass(frozen=True, slots=True)
class Process:
    """Zero stands for what this system does not tell."""

    resident: int
    """Bytes of memory in use (RSS)."""
    cpu: float
    """Seconds of processor time, user and system."""
    descriptors: int
    descriptors_most: int
    threads: int
    virtual: int = 0
    """Bytes of address space."""


def process() -> Process:
    """As it is now; also when no descriptor is left, which is when it matters most."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    status = _status()
    return Process(
        resident=_kilobytes(status.get("VmRSS")),
        virtual=_kilobytes(status.get("VmSize")),
        cpu=used.ru_utime + used.ru_stime,
        descriptors=_descriptors(most),
        descriptors_most=most,
        threads=int(status.get("Threads", threading.active_count())),  # the engine's own are among them
    )


def _descriptors(most: int) -> int:
    if sys.platform != "linux":
        return 0
    try:
        return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - names are not looked at
    except OSError:  # not one more can be opened
        return most


@cache
def _status_file() -> int:
    """Opened once and kept: the kernel writes it again for each read."""
    return os.open("/proc/self/status", os.O_RDONLY | os.O_CLOEXEC)


def _status() -> dict[str, str]:
    if sys.platform != "linux":
        return {}
    lines = os.pread(_status_file(), 1 << 16, 0).decode("ascii", "replace").splitlines()
    return dict(line.split(":", 1) for line in lines)


def _kilobytes(text: str | None) -> int:
    return int(text.split()[0]) * 1024 if text else 0


class LoopLag:
    """Measures by how much the event loop is behind; an async context manager."""

    def __init__(self) -> None:
        self.lag = Timing()

    async def __aenter__(self) -> Self:
        self._task = spawn(supervise("measuring the event loop's lag", self._look), "event loop lag")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _look(self) -> None:
        while True:
            due = time.monotonic() + _LOOK_EVERY
            await asyncio.sleep(_LOOK_EVERY)
            self.lag.add(max(0.0, time.monotonic() - due))
