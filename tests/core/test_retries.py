"""When a delivery is tried again, given up, and an endpoint with it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.core import retries
from zapwire.core.limits import Limits

LIMITS = Limits()
NOW = datetime(2026, 1, 31, tzinfo=UTC)
MINUTE, HOUR = 60, 3600


def test_the_schedule_is_the_standards():
    hours = [2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
    assert list(LIMITS.webhook_schedule) == [5, 5 * MINUTE, 30 * MINUTE, *hours]


@given(st.integers(0, 20), st.none() | st.floats(0, 1e9), st.integers())
def test_each_delay_is_near_its_step_and_retry_after_only_makes_it_longer(tries: int, after: float | None, seed: int):
    step = LIMITS.webhook_schedule[min(tries, 8)]
    delay = retries.retry_delay(tries, after, LIMITS, random.Random(seed))
    assert step * 0.8 <= delay <= max(step * 1.2, min(after or 0, LIMITS.retry_after_most))
    assert after is None or delay >= min(after, LIMITS.retry_after_most)
    assert delay <= retries.longest_delay(LIMITS)


@pytest.mark.parametrize(("tries", "hopeless"), [(1, False), (9, False), (10, True)])
def test_ten_attempts_and_no_more(tries: int, hopeless: bool):
    assert retries.is_hopeless(tries, NOW, NOW, LIMITS) is hopeless


def test_what_waited_as_long_as_the_whole_schedule_has_one_attempt():
    assert not retries.is_hopeless(1, NOW - timedelta(hours=75), NOW, LIMITS)
    assert retries.is_hopeless(1, NOW - timedelta(hours=92), NOW, LIMITS)


@pytest.mark.parametrize(("days", "lost"), [(0, False), (4.99, False), (5, True), (-1, False)])
def test_five_days_without_a_success(days: float, lost: bool):
    assert retries.is_lost(NOW - timedelta(days=days), NOW, LIMITS) is lost
