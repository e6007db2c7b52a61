"""When the daemon has to stop, and that it does so in time."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import math
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from zapwire.model.errors import SandboxEnded, ZapwireError
from zapwire.runtime import log_setup

logger = logging.getLogger(__name__)

_STOPS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGALRM)
"""Every one of them would end the process: it stops in order instead."""
_RESTART: Final = signal.SIGUSR2
_INSISTS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
"""A second one of these leaves at once. A terminal that is closed sends SIGHUP twice and means one stop."""
_BEGIN: Final = b"\0"
"""In the wakeup pipe: the daemon stops without any signal."""
_STARTS_THE_CLOCK: Final = frozenset({*_STOPS, *_BEGIN})
_LAST_RESORT: Final = 5.0
"""Seconds after the limit at which the process is ended without Python."""


class Stop:
    """When to stop: on a signal, or when something without which the daemon is useless has ended.

    A second signal, or *limit* seconds of stopping, end the process the hard way. That works also while the event loop
    or the main thread stands: a thread that waits from the start does it, and it takes no lock that anybody may hold.

    The thread learns of signals by Python's wakeup pipe, which is written in the moment in which a signal comes. The
    handlers run in the main thread only, between two of its steps, and not at all when the signal came just before a
    system call that never returns.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._asked = asyncio.Event()
        self._fault: ZapwireError | None = None
        self.restarting: str | None = None
        """Why the program is to be executed again after the stop."""
        self.signal: str | None = None
        """Name of the signal that asked last."""
        self._loop = asyncio.get_running_loop()
        self._clock_runs = False
        # where the last resort says where it stood: stderr may be what hangs
        self._nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        # open as long as the process: a signal may come at any time
        signals, self._wakeup = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._wakeup, False)  # when it is full, the thread has enough to read
        threading.Thread(target=self._leave_in_time, args=(signals,), name="hard exit", daemon=True).start()
        # asyncio's own handlers cannot be used beside it: they need the wakeup pipe for themselves
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number in _STOPS:
            # nohup has it ignored, and means it
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._on_signal)
        signal.signal(_RESTART, self._on_restart)

    async def wait(self) -> None:
        """Wait until it is time to stop; raises the fault when there is one."""
        await self._asked.wait()
        if self._fault is not None:
            raise self._fault

    def because(self, fault: ZapwireError) -> None:
        """Stop with an error; does nothing when the daemon stops already."""
        if not self._asked.is_set():
            logger.critical("%s", fault.detail)
            self._fault = fault
            self._begin()

    def self_restart(self, why: str) -> None:
        """Stop, and be executed again; does nothing when the daemon stops already."""
        if not self._asked.is_set():
            logger.warning("the daemon restarts itself: %s", why)
            self.restarting = why
            self._begin()

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        """In the main thread, between any two steps of Python: no log line here, its lock may be held."""
        self.restarting, self.signal = None, signal.Signals(number).name  # who asks for a stop means it
        self._start_last_resort()
        self._in_loop(self._asked.set)

    def _on_restart(self, _number: int, _frame: FrameType | None) -> None:
        self._in_loop(lambda: self.self_restart(f"{_RESTART.name} asks for it"))

    def _in_loop(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process ends already
            self._loop.call_soon_threadsafe(work)

    def _begin(self) -> None:
        self._start_last_resort()
        with suppress(BlockingIOError):
            os.write(self._wakeup, _BEGIN)
        self._asked.set()

    def _start_last_resort(self) -> None:
        """End the process also when something never gives Python's lock back: needs neither that lock nor Python.

        Safe in a signal handler.
        """
        if self._clock_runs:
            return
        self._clock_runs = True
        with suppress(RuntimeError):  # no thread to be had
            faulthandler.dump_traceback_later(self._limit + _LAST_RESORT, exit=True, file=self._nowhere)

    def _leave_in_time(self, signals: int) -> None:
        """The thread's work: *signals* is where the numbers of signals are read, and `_BEGIN`."""
        ends_at, insisted = math.inf, False
        wait = select.poll()
        wait.register(signals, select.POLLIN)
        while time.monotonic() < ends_at:
            left = None if ends_at == math.inf else max(ends_at - time.monotonic(), 0) * 1000
            if not wait.poll(left):
                continue
            for number in os.read(signals, 1024):
                if number in _INSISTS:
                    if insisted:
                        _leave("a stop was asked for twice: leaving at once")
                    insisted = True
                if number in _STARTS_THE_CLOCK:
                    ends_at = min(ends_at, time.monotonic() + self._limit)
            # wakes a loop that began to wait in the moment in which the signal came: then the handlers run
            self._in_loop(_nothing)
        _leave("the stop took too long: leaving at once")


def _nothing() -> None:
    """For a loop that is only to turn once."""


def _leave(why: str) -> None:
    """End the process now, with a line in the log if that can be written without waiting for anybody."""
    try:
        line = log_setup.line(logger, logging.CRITICAL, why)
        blocking = os.get_blocking(2)
        os.set_blocking(2, False)
        try:
            os.write(2, line)
        finally:
            os.set_blocking(2, blocking)
    finally:
        os._exit(1)


@contextmanager
def watch(sandbox: int, stop: Stop) -> Iterator[None]:
    """Ask for the stop when our child process *sandbox* ends by itself; it stays for its parent to be waited for."""
    process = os.pidfd_open(sandbox)
    loop = asyncio.get_running_loop()

    def on_end() -> None:
        loop.remove_reader(process)
        ended = os.waitid(os.P_PIDFD, process, os.WEXITED | os.WNOWAIT)
        how = "with exit code" if ended is not None and ended.si_code == os.CLD_EXITED else "by signal"
        status = "?" if ended is None else ended.si_status
        stop.because(SandboxEnded(f"the sandbox has ended by itself, {how} {status}: the daemon stops; start it again"))

    loop.add_reader(process, on_end)
    try:
        yield
    finally:
        loop.remove_reader(process)
        os.close(process)
