"""Threads for calls that block inside the engine.

All are daemon threads: a call can stay stuck for over a minute (docs/engine.md: E9) and `concurrent.futures` would hold
up the end of the program for it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from zapwire.errors import TransportError

T = TypeVar("T")

WAITING_CALLS: Final = 1024


class CallThreads:
    """A bounded pool; a thread is made when a call finds none idle, and stays."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(WAITING_CALLS)
        self._lock = threading.Lock()
        self._threads = 0
        self._idle = 0
        self._running: dict[int, float] = {}

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run *function* in a thread; cancelling stops the waiting, not the call.

        Raises `TransportError` when too many calls wait already.
        """
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*arguments))
            except BaseException as error:  # noqa: BLE001 - handed to whoever waits for the future
                future.set_exception(error)

        self._put(job)
        return await asyncio.wrap_future(future)

    def running_for(self, seconds: float) -> int:
        """How many calls have been running for longer than that."""
        before = time.monotonic() - seconds
        return sum(began < before for began in list(self._running.values()))

    def close(self) -> None:
        """Let idle threads end; running calls are left to finish by themselves."""
        with self._lock:
            threads = self._threads
        for _ in range(threads):
            try:
                self._jobs.put_nowait(None)
            except queue.Full:
                return

    def _put(self, job: Callable[[], None]) -> None:
        with self._lock:
            try:
                self._jobs.put_nowait(job)
            except queue.Full:
                message = "too many calls wait for WhatsApp"
                raise TransportError(message) from None
            if self._idle < self._jobs.qsize() and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"engine-call-{self._threads}", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
            if job is None:
                break
            self._running[threading.get_ident()] = time.monotonic()
            try:
                job()
            finally:
                del self._running[threading.get_ident()]
        with self._lock:
            self._threads -= 1


def in_thread(name: str, function: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread of its own for *function*."""
    thread = threading.Thread(target=function, name=name, daemon=True)
    thread.start()
    return thread


def tell_loop(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *arguments: Any) -> None:
    """Call *function* in *loop* from another thread; nothing happens when the loop is gone already."""
    try:
        loop.call_soon_threadsafe(function, *arguments)
    except RuntimeError:
        if not loop.is_closed():
            raise
