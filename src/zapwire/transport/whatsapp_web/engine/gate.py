"""The one door to the engine's client table: starts and stops alone, calls never beside them.

The engine keeps its clients in Go maps without a lock (docs/engine.md's E1): a write beside any other access ends in
"fatal error: concurrent map writes", which kills the process and cannot be caught. These are the accesses:

* a start writes, and then dials: milliseconds without network, then seconds with it;
* **when the dial is done, the engine itself reads once**, right before the first callback;
* a stop writes; every call reads once, right at its beginning.

So a change waits until the calls that have begun are past that beginning, and calls wait while a change is writing. A
start does not wait for the dials of others, as long as none of them can be done: half the time that the quickest of
the latest dials took has not passed. On a long way many bots dial at once; on a short one they take turns, which is as
quick there.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

CALL_BEGINNING: Final = 0.02
"""Seconds after which a call has surely read the table; in truth it takes microseconds."""
START_WRITING: Final = 0.1
"""Seconds in which a start has surely registered its client, where that cannot be seen: opening the database takes 5 to
20 ms."""
CHANGE_LONGEST: Final = 5.0
"""Seconds after which a start that still dials, or a stop that hangs, no longer holds up the others.

What is left of such a start is one read when the dial succeeds; that it meets a write of 100 ns is a risk far smaller
than having every other bot wait for a server that does not answer.
"""
DIALS_REMEMBERED: Final = 32
LOOK_AGAIN: Final = 0.002
"""Seconds between two looks at what cannot be waited for: is the table written."""


@dataclass(eq=False, slots=True)
class GateChange:
    """A start or a stop under way; times are of `time.monotonic`."""

    route: str
    """Which way a start dials: what is known of one way says nothing of another."""
    is_start: bool
    began: float
    over_at: float
    """From then on it holds up nobody."""
    size_before: int | None = None
    """How many clients the table had."""
    written_at: float | None = None
    quiet_until: float = 0.0
    """No dial was ever done before."""


class _Stop:
    """A stop that waits for its turn, perhaps together with others."""

    __slots__ = ("_function", "done")

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._function()
        finally:
            self.done.set()


class Gate:
    """Orders starts, stops and calls of all threads of this process.

    *size* counts the clients in the engine's table (None: at the moment unknown); without it a start is believed to be
    writing for `START_WRITING`.
    """

    def __init__(self, size: Callable[[], int | None] | None = None) -> None:
        self._size = size
        self._condition = threading.Condition()
        self._next = threading.Lock()
        """Held by the one change that waits for the table; the others wait for this."""
        self._writing: GateChange | None = None
        self._dialling: set[GateChange] = set()
        self._dials: dict[str, deque[float]] = {}
        self._calls: dict[int, float] = {}
        self._stops: deque[_Stop] = deque()
        self._numbers = count()
        self.waited = 0.0
        """Seconds that starts and stops have waited here, all together."""
        self.passed = 0
        """Starts and stops that were let through."""

    def begin_start(self, route: str = "") -> GateChange:
        """Wait for the table and take it for a start; the starter calls `end` at its first sign of life."""
        with self._next:
            return self._take(route, is_start=True)

    def end(self, change: GateChange | None, *, dialled: bool = False) -> None:
        """The change is done, with *dialled* because WhatsApp was reached; ending it twice does no harm."""
        with self._condition:
            if change is None or (change is not self._writing and change not in self._dialling):
                return
            now = time.monotonic()
            if change is self._writing:
                self._writing = None
            self._dialling.discard(change)
            if dialled and change.written_at is not None:
                dials = self._dials.setdefault(change.route, deque(maxlen=DIALS_REMEMBERED))
                dials.append(now - change.written_at)
            self._condition.notify_all()

    def stop(self, function: Callable[[], None]) -> None:
        """Run *function*, which stops a client, alone at the table; stops that wait together share one turn.

        It may run on the thread of another stop, and must not raise.
        """
        mine = _Stop(function)
        self._stops.append(mine)
        with self._next:
            if mine not in self._stops:  # another one's turn covers it
                turn: list[_Stop] = []
            else:
                change = self._take("", is_start=False)
                turn = [self._stops.popleft() for _ in range(len(self._stops))]
        for stop in turn:
            if self._writing is not change:  # the one before took too long and lost the table
                with self._next:
                    change = self._take("", is_start=False)
            change.over_at = time.monotonic() + CHANGE_LONGEST
            stop.run()
        if turn:
            self.end(change)
        mine.done.wait()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Begin a call once no change is writing; held until the call returns."""
        number = next(self._numbers)
        with self._condition:
            while self._is_writing():
                self._condition.wait(LOOK_AGAIN)
            self._calls[number] = time.monotonic()
        try:
            yield
        finally:
            with self._condition:
                del self._calls[number]
                self._condition.notify_all()

    def _take(self, route: str, *, is_start: bool) -> GateChange:
        began = time.monotonic()
        with self._condition:
            while self._is_writing() or self._may_be_done():
                self._condition.wait(LOOK_AGAIN)
            # Taken before the calls under way are past their beginning: no further ones may begin, or calls that follow
            # each other closely would never let a change through.
            now = time.monotonic()
            change = self._writing = GateChange(route, is_start, now, now + CALL_BEGINNING + CHANGE_LONGEST)
            while (wait := self._latest_call() + CALL_BEGINNING - time.monotonic()) > 0:
                self._condition.wait(wait)
            change.began = time.monotonic()
            if is_start and self._size is not None:
                change.size_before = self._size()
            self.waited += change.began - began
            self.passed += 1
            return change

    def _is_writing(self) -> bool:
        """Is a change at the table? One that has written and now dials is put aside."""
        change, now = self._writing, time.monotonic()
        if change is None:
            return False
        if now >= change.over_at:
            self._writing = None
            return False
        if not change.is_start or not self._is_written(change, now):
            return True
        change.written_at = now
        quickest = min(self._dials.get(change.route, ()), default=0.0)
        change.quiet_until = change.began + quickest / 2  # not from now on: nobody may have looked for long
        self._writing = None
        self._dialling.add(change)
        return False

    def _is_written(self, change: GateChange, now: float) -> bool:
        if self._size is None or change.size_before is None:
            return now - change.began >= START_WRITING
        size = self._size()
        return size is not None and size > change.size_before

    def _may_be_done(self) -> bool:
        """Could one of the dials under way come to its end while a change writes?"""
        now = time.monotonic()
        for dial in [dial for dial in self._dialling if now >= dial.over_at]:
            self._dialling.discard(dial)
        return any(now >= dial.quiet_until for dial in self._dialling)

    def _latest_call(self) -> float:
        return next(reversed(self._calls.values()), -CALL_BEGINNING)
