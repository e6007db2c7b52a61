"""How often a person may ask for something that costs WhatsApp a connection."""

from __future__ import annotations

import time
from collections.abc import Callable

from zapwire.model.errors import TooMany


class RateLimiter:
    """A token bucket: *size* at once, refilled over *period* seconds."""

    def __init__(self, size: int, period: float = 60.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._size, self._rate, self._clock = size, size / period, clock
        self._left, self._at = float(size), clock()

    def spend(self) -> None:
        """Take one; raises `TooMany` with the time until there is one again."""
        now = self._clock()
        self._left, self._at = min(self._size, self._left + (now - self._at) * self._rate), now
        if self._left < 1:
            wait = (1 - self._left) / self._rate
            raise TooMany(
                f"too many connection attempts for this bot (WhatsApp bans numbers for that): wait {wait:.0f} s",
                retry_after=wait,
            )
        self._left -= 1
