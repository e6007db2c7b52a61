"""Is an endpoint there at all? Tells the failure of one event from the absence of its receiver.

A *streak* is failures without a success in between. From a long one it follows that the receiver is away: then the
journal is not read on, so that what waits costs neither memory nor rows, but for one event now and then to find out.
When a streak ends in which several lanes failed, for more than a moment, the receiver was away and is back: what waits
for its next attempt is tried at once instead of hours later. A single event that is never taken does not have that
effect, or it would have used up its attempts in no time.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import datetime

from zapwire.core.limits import Limits


class Pulse:
    """Of one endpoint, as its courier feels it."""

    def __init__(self, limits: Limits, failing_since: datetime | None) -> None:
        self._limits = limits
        self._lanes: set[str] = set()
        self._failures = 0
        self._began = 0.0
        self._up = asyncio.Event()
        self.failing_since = failing_since
        """When the first failure after the last success was."""

    @property
    def away(self) -> bool:
        """Nothing was taken for so many attempts that it makes no sense to read on."""
        return self._failures >= self._limits.webhook_streak

    async def wait(self) -> None:
        """While the receiver is away: until it is back, or until it is time to try whether it is."""
        if self.away:
            self._up.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._limits.webhook_probe):
                    await self._up.wait()

    def failed(self, lane: str, at: datetime) -> None:
        """A delivery failed."""
        if self._failures == 0:
            self._began = time.monotonic()
        self._failures += 1
        if len(self._lanes) < 2:
            self._lanes.add(lane)
        self.failing_since = self.failing_since or at

    def succeeded(self) -> bool:
        """A delivery was taken; True when with that the receiver is back."""
        lasted = time.monotonic() - self._began
        back = self._failures > 0 and len(self._lanes) > 1 and lasted >= self._limits.webhook_absence
        self._failures = 0
        self._lanes.clear()
        self.failing_since = None
        self._up.set()
        return back
