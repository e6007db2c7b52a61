"""Threads for calls that block inside the engine.

All are daemon threads: a call can stay stuck for over a minute (docs/engine.md: E9) and `concurrent.futures` would hold
up the end of the program for it.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeVar

from zapwire.model.errors import NotConnected
from zapwire.transport.whatsapp_web.engine.fair_queue import FairQueue

T = TypeVar("T")

HANGS: Final = 1.0
"""Seconds after which a running call is believed to hang: its thread is replaced."""
LOOK: Final = 0.25
"""Seconds between two looks whether a call that waits could be given a new thread."""
MOST_THREADS: Final = 256
"""Of one pool, those that hang included."""
WAITING_CALLS: Final = 64
"""Of one owner."""


class NotBegun(NotConnected):
    """The call was given up before anything of it reached the engine."""

    def __init__(self) -> None:
        super().__init__("the engine is busy with other calls of this bot or of others: this one was not begun")


class _Call:
    """One call on its way; `begun` and `given_up` exclude each other and are set under the pool's lock."""

    __slots__ = ("answer", "begun", "entered", "function", "given_up", "loop", "timer")

    def __init__(self, function: Callable[[], Any], loop: asyncio.AbstractEventLoop) -> None:
        self.function = function
        self.loop = loop
        self.answer: asyncio.Future[Any] = loop.create_future()
        self.entered = time.monotonic()
        self.begun: float | None = None
        """When the function was called: behind the queue, and behind the guard."""
        self.given_up = False
        self.timer: asyncio.TimerHandle | None = None


class CallPool:
    """A pool of *size* threads that those who hang do not count in; a thread is made when a call finds none idle."""

    def __init__(
        self,
        name: str,
        size: int,
        per_owner: int,
        guard: Callable[[], AbstractContextManager[None]] = nullcontext,
        *,
        hangs: float = HANGS,
        patience: float = math.inf,
    ) -> None:
        """At most *per_owner* calls of one owner run at once, and no further one begins while one has been running for
        *patience* seconds. Each runs inside a *guard*, which may block.
        """
        self._name = name
        self._size = size
        self._guard = guard
        self._hangs = hangs
        self._queue: FairQueue[_Call] = FairQueue(per_owner, patience)
        self._condition = threading.Condition()
        self._threads = 0
        self._idle = 0
        """Threads that wait and have not been woken."""
        self._running: dict[int, float] = {}
        """Since when each thread has been busy, the longest first."""
        self._closed = False

    async def run(
        self, owner: str, function: Callable[[], T], *, begin_within: float, end_within: float | None = None
    ) -> T:
        """Call *function* in a thread; cancelling stops the waiting, and the call if it has not begun.

        Raises `NotBegun` when it has not begun after *begin_within* seconds or too many calls of *owner* wait: then it
        never will. Raises TimeoutError *end_within* seconds after it has begun: the call itself goes on, and keeps its
        thread and its owner's place until it ends.
        """
        loop = asyncio.get_running_loop()
        call = _Call(function, loop)
        self._put(owner, call)
        call.timer = loop.call_later(min(LOOK, begin_within), self._look, owner, call, begin_within, end_within)
        try:
            answer: T = await call.answer
            return answer
        finally:
            call.timer.cancel()
            if call.begun is None:
                self._give_up(owner, call)

    def running_for(self, seconds: float) -> int:
        """How many calls have been running for longer than that."""
        with self._condition:
            return self._busy_since(time.monotonic() - seconds)

    def longest(self, owner: str) -> float:
        """For how many seconds the oldest call of *owner* has been running; 0 when none is."""
        with self._condition:
            began = self._queue.oldest(owner)
        return 0.0 if began is None else time.monotonic() - began

    def close(self) -> None:
        """Let idle threads end; running calls are left to finish by themselves, those that wait do not begin."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    # In the loop.

    def _put(self, owner: str, call: _Call) -> None:
        with self._condition:
            if self._queue.waiting(owner) >= WAITING_CALLS:
                raise NotBegun
            self._queue.put(owner, call)
            self._wake()

    def _look(self, owner: str, call: _Call, begin_within: float, end_within: float | None) -> None:
        """A call under way takes long: is that too long?"""
        now, begun = time.monotonic(), call.begun
        if call.answer.done():
            return
        if begun is None:
            if now - call.entered >= begin_within and self._give_up(owner, call):
                call.answer.set_exception(NotBegun())
                return
            with self._condition:
                if self._queue.may_have_next:
                    self._wake()
            delay = LOOK
        elif end_within is None:
            return
        elif (delay := begun + end_within - now) <= 0:
            call.answer.set_exception(TimeoutError())
            return
        call.timer = call.loop.call_later(delay, self._look, owner, call, begin_within, end_within)

    def _give_up(self, owner: str, call: _Call) -> bool:
        """Make sure that *call* never begins; False when it has begun already."""
        with self._condition:
            if call.begun is not None:
                return False
            call.given_up = True
            self._queue.withdraw(owner, call)  # else a thread has it and waits at the guard
            return True

    # Under the lock.

    def _wake(self) -> None:
        if self._idle:
            self._idle -= 1
            self._condition.notify()
        elif self._threads < MOST_THREADS and self._at_hand(time.monotonic()) < self._size:
            self._threads += 1
            in_thread(f"engine-{self._name}-{self._threads}", self._work)

    def _at_hand(self, now: float) -> int:
        """How many threads there are without those that hang."""
        return self._threads - self._busy_since(now - self._hangs)

    def _busy_since(self, moment: float) -> int:
        count = 0
        for began in self._running.values():
            if began > moment:
                break
            count += 1
        return count

    # In the pool's threads.

    def _work(self) -> None:
        while (taken := self._next()) is not None:
            owner, call, began = taken
            try:
                self._run(call)
            finally:
                with self._condition:
                    del self._running[threading.get_ident()]
                    self._queue.done(owner, began)
        with self._condition:
            self._threads -= 1

    def _next(self) -> tuple[str, _Call, float] | None:
        """Wait for a call; None when this thread is not needed any more."""
        with self._condition:
            while True:
                now = time.monotonic()
                if self._closed:
                    return None
                if self._at_hand(now) > self._size:  # it replaced one that hung
                    if self._idle and self._queue.may_have_next:
                        self._wake()
                    return None
                if (taken := self._queue.take(now)) is not None:
                    self._running[threading.get_ident()] = now
                    if self._queue.may_have_next:
                        self._wake()
                    return *taken, now
                self._idle += 1
                self._condition.wait()

    def _run(self, call: _Call) -> None:
        result, error = None, None
        try:
            with self._guard():
                with self._condition:
                    if call.given_up:
                        return
                    call.begun = time.monotonic()
                result = call.function()
        except BaseException as raised:  # noqa: BLE001 - handed to whoever waits for the answer
            error = raised
        tell_loop(call.loop, _answer, call.answer, result, error)


def _answer(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():  # nobody waits any more
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


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
