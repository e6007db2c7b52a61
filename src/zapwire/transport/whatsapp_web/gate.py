"""The one door to the engine's client table: starts and stops alone, calls never beside them.

The engine keeps its clients in Go maps without a lock (docs/engine.md's E1): a write beside any other access ends in
"fatal error: concurrent map writes", which kills the process and cannot be caught. Starts and stops write; every call
reads once, right at its beginning. So a change waits until the calls that have begun are past that beginning, and
calls wait while a change is writing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Final

CALL_BEGINNING: Final = 0.02
"""Seconds after which a call has surely read the table; in truth it takes microseconds."""
START_WRITING: Final = 0.1
"""Seconds in which a start has surely registered its client: opening the database takes 5 to 20 ms."""
START_LONGEST: Final = 5.0
"""Seconds after which a start that still dials no longer holds up the others.

What is left of it is a handful of reads when the dial succeeds; that they meet a write of 100 ns is a risk far
smaller than having every other bot wait for a server that does not answer.
"""


@dataclass(eq=False, slots=True)
class Change:
    """A start or a stop under way; times are of `time.monotonic`."""

    calls_from: float
    over_at: float


class Gate:
    """Orders starts, stops and calls of all threads of this process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._change: Change | None = None
        self._calls: dict[int, float] = {}
        self._numbers = count()

    def begin_start(self) -> Change:
        """Wait for the table and take it for a start; the starter calls `end` at its first sign of life."""
        return self._begin(START_WRITING, START_LONGEST)

    @contextmanager
    def stop(self) -> Iterator[None]:
        """Hold the table for a stop."""
        change = self._begin(START_LONGEST, START_LONGEST)
        try:
            yield
        finally:
            self.end(change)

    def end(self, change: Change | None) -> None:
        """The change is done; ending it twice, or after its longest time, does no harm."""
        with self._condition:
            if change is not None and self._change is change:
                self._change = None
                self._condition.notify_all()

    @contextmanager
    def call(self) -> Iterator[None]:
        """Begin a call once no change is writing; held until the call returns."""
        number = next(self._numbers)
        with self._condition:
            while self._change is not None and (wait := self._change.calls_from - time.monotonic()) > 0:
                self._condition.wait(wait)
            self._calls[number] = time.monotonic()
        try:
            yield
        finally:
            with self._condition:
                del self._calls[number]
                self._condition.notify_all()

    def _begin(self, writing: float, longest: float) -> Change:
        with self._condition:
            while self._change is not None and (wait := self._change.over_at - time.monotonic()) > 0:
                self._condition.wait(wait)
            # Taken before the calls under way are past their beginning: no further ones may begin, or calls that follow
            # each other closely would never let a change through.
            now = time.monotonic()
            change = self._change = Change(now + CALL_BEGINNING + writing, now + CALL_BEGINNING + longest)
            while (wait := self._latest_call() + CALL_BEGINNING - time.monotonic()) > 0:
                self._condition.wait(wait)
            return change

    def _latest_call(self) -> float:
        return max(self._calls.values(), default=-CALL_BEGINNING)
