"""When a delivery is tried again, when it is given up, and when an endpoint is."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from zapwire.core.limits import Limits


def retry_delay(tries: int, retry_after: float | None, limits: Limits, chance: random.Random) -> float:
    """Seconds until the next attempt after *tries* + 1 failed ones; `Retry-After` can only make it longer."""
    schedule = limits.webhook_schedule
    step = schedule[min(tries, len(schedule) - 1)] * chance.uniform(1 - limits.jitter, 1 + limits.jitter)
    return step if retry_after is None else max(step, min(retry_after, limits.retry_after_most))


def longest_delay(limits: Limits) -> float:
    """No delay is longer; one that seems so comes from a clock that was set."""
    return max(max(limits.webhook_schedule) * (1 + limits.jitter), limits.retry_after_most)


def is_hopeless(tries: int, since: datetime, now: datetime, limits: Limits) -> bool:
    """Is a delivery given up after *tries* failed attempts?

    What has waited as long as the whole schedule behind another one gets one attempt only, or an endpoint that was away
    would never be caught up with.
    """
    schedule = limits.webhook_schedule
    whole = sum(schedule) * (1 + limits.jitter) + limits.webhook_time * len(schedule)
    return tries > len(schedule) or now - since > timedelta(seconds=whole)


def is_lost(failing_since: datetime, now: datetime, limits: Limits) -> bool:
    """Has an endpoint failed for so long that it is disabled?"""
    return now - failing_since >= timedelta(seconds=limits.webhook_failing)
