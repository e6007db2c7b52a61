"""Is an endpoint there at all? Tells the failure of one event from the absence of its receiver.

An endpoint is *unreachable* once no connection to it can be made, or once two attempts in a row were not answered (a
proxy before it that says 502, 503 or 504 is no answer either). One attempt alone that is not answered may be the
event's fault. From then on one attempt at a time is made, every 1 to 30 s, the events taking turns; these attempts do
not count against the events. Any answer ends it, and all that waited goes out at once.

A *streak* is failures without a success in between. From a long one, answers or not, it follows that the receiver
takes nothing: what is new then also waits for single attempts, so that it costs neither rows nor requests. When a
streak ends that was an outage (it was unreachable, or several lanes failed for more than a moment), what failed since
it began is tried at once instead of hours later. A single event that is never taken has no such effect, or it would
have used up its attempts in no time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from datetime import datetime, timedelta
from enum import Enum, auto

from zapwire.core.tuning import Tuning
from zapwire.core.webhooks.outcome import Failure, Outcome
from zapwire.model import timestamps
from zapwire.model.webhooks import Endpoint

_SILENT = 2
"""Attempts in a row that were not answered after which an endpoint is unreachable."""
_NOT_THERE = frozenset({Failure.NO_CONNECTION, Failure.NO_ANSWER})


class ProbeTurn(Enum):
    """Whether an attempt may be made."""

    FREE = auto()
    """It may, beside others."""
    PROBE = auto()
    """It may, and no other one until it is over: give the turn back with `probed`."""
    STOPPED = auto()
    """It may not: nothing is begun any more."""


class Reachability:
    """Of one endpoint, as its worker finds it."""

    def __init__(self, endpoint: Endpoint, limits: Tuning, chance: random.Random) -> None:
        self._limits = limits
        self._chance = chance
        self.failing_since = endpoint.failing_since
        """When the first failure after the last success was."""
        self.unreachable_since = endpoint.unreachable_since
        self.next_attempt_at: datetime | None = None
        """When the next attempt is made, while it is unreachable."""
        self._streak = 0
        self._began = 0.0
        self._lanes: set[str] = set()
        self._outage = endpoint.unreachable_since is not None
        self._last_event: int | None = None
        self._several_events = endpoint.failing_since is not None  # it may have been so; nobody knows any more
        self._silent = 0
        self._probes = 0
        self._probing = False
        self._next = 0.0
        """When the next probe may be made, by the event loop's clock."""
        self._waiting: deque[tuple[bool, asyncio.Future[ProbeTurn]]] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False

    # -- turns --------------------------------------------------------------------------------------------------

    async def turn(self, *, new: bool) -> ProbeTurn:
        """Wait until an attempt may be made; *new* is one with an event that was not tried before."""
        if self._stopped:
            return ProbeTurn.STOPPED
        if not self.holds(new=new):
            return ProbeTurn.FREE
        future: asyncio.Future[ProbeTurn] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, future))
        self._wake()
        try:
            return await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.done() and future.result() is ProbeTurn.PROBE:
                self.probed()
            raise

    def probed(self) -> None:
        """The attempt with the turn `PROBE` is over."""
        self._probing = False
        self._wake()

    def stop(self) -> None:
        """Begin nothing more; whoever waits for a turn gets `STOPPED`."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        while self._waiting:
            _give(self._waiting.popleft()[1], ProbeTurn.STOPPED)

    def holds(self, *, new: bool) -> bool:
        """Does an attempt have to wait for its turn?"""
        return self.unreachable_since is not None or (new and self._streak >= self._limits.webhook_streak)

    def _wake(self) -> None:
        """Let go whoever need not wait, and one that does when it is time."""
        if not self._waiting:
            return
        held: deque[tuple[bool, asyncio.Future[ProbeTurn]]] = deque()
        while self._waiting:
            new, future = self._waiting.popleft()
            if self.holds(new=new):
                held.append((new, future))
            else:
                _give(future, ProbeTurn.FREE)
        self._waiting = held
        if self._probing or self._stopped:
            return
        loop = asyncio.get_running_loop()
        while held and loop.time() >= self._next and not self._probing:
            self._probing = _give(held.popleft()[1], ProbeTurn.PROBE)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if held and not self._probing:
            self._timer = loop.call_at(self._next, self._wake)

    # -- what attempts tell -------------------------------------------------------------------------------------

    def succeeded(self) -> datetime | None:
        """A delivery was taken. When that ends an outage: since when failures are to be retried at once."""
        began = self.failing_since
        over = self._outage or (len(self._lanes) > 1 and self.lasted >= self._limits.webhook_absence)
        self.failing_since = self._last_event = None
        self._streak = 0
        self._outage = self._several_events = False
        self._lanes.clear()
        self._answered()
        self._wake()
        return began if over else None

    def failed(self, outcome: Outcome, lane: str, event: int, *, probe: bool) -> bool:
        """An attempt failed; True when that counts against the event."""
        if self._streak == 0:
            self._began = time.monotonic()
        self._streak += 1
        if len(self._lanes) < 2:
            self._lanes.add(lane)
        self._several_events = self._several_events or self._last_event not in {None, event}
        self._last_event = event
        self.failing_since = self.failing_since or outcome.at
        if outcome.failure in _NOT_THERE:
            self._silent += 1
            if outcome.failure is Failure.NO_CONNECTION or self._silent >= _SILENT:
                self.unreachable_since = self.unreachable_since or outcome.at
                self._outage = True
        else:
            self._answered()
        if self.holds(new=True):
            self._put_off(outcome, probe=probe)
        self._wake()
        return self.unreachable_since is None

    @property
    def lasted(self) -> float:
        """Seconds since the first failure of the streak that there is now, by a clock that is not set."""
        return time.monotonic() - self._began if self._streak else 0.0

    @property
    def only_this_event(self) -> bool:
        """Is the event that failed last the only one that failed since something was taken?"""
        return not self._several_events

    def _answered(self) -> None:
        """It answered: it is there."""
        if self._streak == 0 or self.unreachable_since is not None:
            self._probes = 0
            self._next = 0.0
        self._silent = 0
        self.unreachable_since = self.next_attempt_at = None

    def _put_off(self, outcome: Outcome, *, probe: bool) -> None:
        """Set the time of the next probe; attempts that were under way beside each other count as one."""
        now = asyncio.get_running_loop().time()
        if not probe and self._next > now:
            return
        limits = self._limits
        step = min(limits.webhook_probe_first * 2.0 ** min(self._probes, 32), limits.webhook_probe_most)
        step *= self._chance.uniform(1 - limits.jitter, 1)
        self._probes += 1
        delay = max(step, min(outcome.retry_after or 0.0, limits.retry_after_most))
        self._next = now + delay
        if self.unreachable_since is not None:
            self.next_attempt_at = timestamps.now() + timedelta(seconds=delay)


def _give(future: asyncio.Future[ProbeTurn], turn: ProbeTurn) -> bool:
    """Give a turn to whoever waits; False when nobody does any more."""
    if future.done():
        return False
    future.set_result(turn)
    return True
