"""When a delivery is retried, given up, and an endpoint with it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.core.tuning import Tuning
from zapwire.core.webhooks import retry_policy
from zapwire.core.webhooks.outcome import Failure
from zapwire.model.webhooks import Endpoint

LIMITS = Tuning()
NOW = datetime(2026, 1, 31, tzinfo=UTC)
MINUTE, HOUR = 60, 3600


def test_the_schedule_is_the_standards():
    hours = [2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR]
    assert list(LIMITS.webhook_schedule) == [5, 5 * MINUTE, 30 * MINUTE, *hours]


@given(st.integers(0, 20), st.none() | st.floats(0, 1e9), st.integers())
def test_each_delay_is_near_its_step_and_retry_after_only_makes_it_longer(tries: int, after: float | None, seed: int):
    step = LIMITS.webhook_schedule[min(tries, 8)]
    delay = retry_policy.retry_delay(tries, after, LIMITS, random.Random(seed))
    assert step * 0.8 <= delay <= max(step * 1.2, min(after or 0, LIMITS.retry_after_most))
    assert after is None or delay >= min(after, LIMITS.retry_after_most)
    assert delay <= retry_policy.longest_delay(LIMITS)


@pytest.mark.parametrize(
    ("failure", "alone", "attempts"),
    [
        (Failure.ANSWERED, True, 10),
        (Failure.NO_ANSWER, True, 10),
        (Failure.CLIENT_ERROR, True, 4),
        (Failure.CLIENT_ERROR, False, 10),
    ],
)
def test_ten_attempts_and_fewer_for_what_only_one_event_gets(failure: Failure, alone: bool, attempts: int):
    endpoint = Endpoint(
        "whk_1", "https://example.com/", ("*",), None, enabled=True, created_at=NOW, client_error_attempts=4
    )
    assert retry_policy.attempts(failure, endpoint, LIMITS, alone=alone) == attempts


def test_what_waited_as_long_as_the_whole_schedule_has_one_attempt():
    assert not retry_policy.has_waited(NOW - timedelta(hours=75), NOW, 15, LIMITS)
    assert retry_policy.has_waited(NOW - timedelta(hours=92), NOW, 15, LIMITS)


@pytest.mark.parametrize(
    ("days", "hours_of_this_run", "lost"),
    [(0, 0, False), (4.99, 120, False), (5, 120, True), (5, 1, True), (9, 0.99, False), (-1, 1, False)],
)
def test_five_days_without_a_success(days: float, hours_of_this_run: float, lost: bool):
    assert retry_policy.is_lost(NOW - timedelta(days=days), NOW, 3600 * hours_of_this_run, LIMITS) is lost
