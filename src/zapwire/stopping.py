"""When the daemon has to stop, and that it does so in time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zapwire.errors import SandboxEnded, ZapwireError

logger = logging.getLogger(__name__)


class Stop:
    """When to stop: on SIGTERM or SIGINT, or when something without which the daemon is useless has ended.

    A second signal, or *limit* seconds of stopping, end the process the hard way.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._asked = asyncio.Event()
        self._signalled = False
        self._fault: ZapwireError | None = None
        self.recycling: str | None = None
        """Why the program is to be executed again after the stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR2, self.recycle, "SIGUSR2 asks for it")

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

    def recycle(self, why: str) -> None:
        """Stop, and be executed again; does nothing when the daemon stops already."""
        if not self._asked.is_set():
            logger.warning("the daemon renews itself: %s", why)
            self.recycling = why
            self._begin()

    def _on_signal(self) -> None:
        self.recycling = None  # who asks for a stop means it
        if self._signalled:
            _leave()
        self._signalled = True
        if not self._asked.is_set():
            self._begin()

    def _begin(self) -> None:
        self._asked.set()
        # a thread, because what hangs may be the event loop or the interpreter's own exit
        watchdog = threading.Timer(self._limit, _leave)
        watchdog.daemon = True
        watchdog.start()


def _leave() -> None:
    logger.critical("the stop took too long or was asked for twice: leaving at once")
    logging.shutdown()
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
