"""Plain counters for whoever works, read by whoever measures. Standard library only, on one thread each.

What a layer counts it keeps itself, in these; nobody below the API knows how they are shown (`zapwire.api.prometheus`).
"""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 75.0)
"""Upper bounds that suit everything from a commit to a send that the engine gives up after 75 s."""
MINUTES: Final = (1, 5, 15)


class Count:
    """How often something happened since the start."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self) -> None:
        """It happened once."""
        self.count += 1


class Timing:
    """How long something takes: a histogram in seconds, as Prometheus understands it."""

    __slots__ = ("bounds", "count", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """By bucket, not cumulated; the last is for what is longer than the last bound."""
        self.count = 0
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """It took that long once."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.count += 1
        self.sum += seconds

    def quantile(self, share: float) -> float | None:
        """About the time below which this share (0..1) lies, from the buckets; None when nothing was measured.

        What is longer than the last bound counts as that bound.
        """
        wanted, below = share * self.count, 0
        if self.count == 0:
            return None
        for number, bound in enumerate(self.bounds):
            here = self.counts[number]
            if here and below + here >= wanted:
                low = self.bounds[number - 1] if number else 0.0
                return low + (bound - low) * max(0.0, wanted - below) / here
            below += here
        return self.bounds[-1]


class Rate:
    """How many there were, and how many a second over the last 1, 5 and 15 minutes.

    The latter are exponentially damped, as the load averages of Unix are.
    """

    __slots__ = ("_at", "_rates", "count")

    def __init__(self) -> None:
        self.count = 0
        self._at = 0.0
        self._rates = [0.0] * len(MINUTES)

    def add(self, now: float | None = None) -> None:
        """There was one more; *now* is of `time.monotonic`."""
        self._decay(time.monotonic() if now is None else now)
        self.count += 1
        for number, minutes in enumerate(MINUTES):
            self._rates[number] += 1 / (minutes * 60)

    def per_second(self, now: float | None = None) -> tuple[float, ...]:
        """Over 1, 5 and 15 minutes."""
        self._decay(time.monotonic() if now is None else now)
        return tuple(self._rates)

    def _decay(self, now: float) -> None:
        passed = now - self._at
        if passed > 0:
            self._at = now
            for number, minutes in enumerate(MINUTES):
                self._rates[number] *= math.exp(-passed / (minutes * 60))


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """Which version the engine says it is, as texts like `2.3000.1047769893`."""

    announced: str | None = None
    """None when it is not found."""
    newest: str | None = None
    """The newest that is known; None when nobody has asked."""
    problem: str | None = None
    """Why the newest is not known or not announced, in words."""
    follows: bool = False
    """A newer one is announced as soon as it is known."""
    engine_built: str | None = None
    """The day of the engine's newest source, RFC 3339; None when that is not found."""


@dataclass(frozen=True, slots=True)
class EngineFigures:
    """What a transport tells of what its bots share; all zero for one that shares nothing."""

    clients: int = 0
    """Connections that the engine holds, with those that are ending."""
    gate_passed: int = 0
    """Starts and stops so far."""
    gate_waited: float = 0.0
    """Seconds that they waited for their turn, together."""
    pairings: int = 0
    """Pairings under way."""
    version: VersionFigures = VersionFigures()
