"""When a delivery is retried, when it is given up, and when an endpoint is."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from zapwire.core.tuning import Tuning
from zapwire.core.webhooks.outcome import Failure
from zapwire.model.webhooks import Endpoint

_TRIED = 3600.0
"""Seconds for which an endpoint has to have failed without a break of ours before it is disabled."""


def retry_delay(tries: int, retry_after: float | None, limits: Tuning, chance: random.Random) -> float:
    """Seconds until the next attempt after *tries* + 1 failed ones; `Retry-After` can only make it longer."""
    schedule = limits.webhook_schedule
    step = schedule[min(tries, len(schedule) - 1)] * chance.uniform(1 - limits.jitter, 1 + limits.jitter)
    return step if retry_after is None else max(step, min(retry_after, limits.retry_after_most))


def longest_delay(limits: Tuning) -> float:
    """No delay is longer; one that seems so comes from a clock that was set."""
    return max(max(limits.webhook_schedule) * (1 + limits.jitter), limits.retry_after_most)


def attempts(failure: Failure, endpoint: Endpoint, limits: Tuning, *, alone: bool) -> int:
    """After how many failed attempts a delivery is given up; *alone*: while nothing else fails.

    What the receiver does not want, while it takes other events, need not hold up its chat for days.
    """
    if failure is Failure.CLIENT_ERROR and alone:
        return endpoint.client_error_attempts
    return len(limits.webhook_schedule) + 1


def has_waited(since: datetime, now: datetime, timeout: float, limits: Tuning) -> bool:
    """Has a delivery waited as long as the whole schedule, with attempts of at most *timeout* seconds?

    Then it gets one attempt only, or an endpoint that took nothing for a while would never be caught up with.
    """
    schedule = limits.webhook_schedule
    return now - since > timedelta(seconds=sum(schedule) * (1 + limits.jitter) + timeout * len(schedule))


def is_lost(failing_since: datetime, now: datetime, lasted: float, limits: Tuning) -> bool:
    """Has an endpoint failed for so long that it is disabled?

    Of that time *lasted* seconds are of this run: while the daemon, or its machine, is off, nobody can take anything.
    """
    most = limits.webhook_failing
    return now - failing_since >= timedelta(seconds=most) and lasted >= min(_TRIED, most)
