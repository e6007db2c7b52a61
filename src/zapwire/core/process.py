"""What this process uses, from the kernel; and how late its event loop is."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from zapwire.measures import Timing

_LOOK_EVERY: Final = 0.5


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


def process() -> Process:
    """As it is now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    resident, descriptors, threads = 0, 0, threading.active_count()
    if sys.platform == "linux":
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines()
        )
        resident = int(status["VmRSS"].split()[0]) * 1024
        threads = int(status["Threads"])  # the engine's own are among them
        descriptors = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - names are not looked at
    return Process(
        resident=resident,
        cpu=used.ru_utime + used.ru_stime,
        descriptors=descriptors,
        descriptors_most=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        threads=threads,
    )


class LoopLag:
    """Measures by how much the event loop is behind; an async context manager."""

    def __init__(self) -> None:
        self.lag = Timing()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._look(), name="event loop lag")
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
