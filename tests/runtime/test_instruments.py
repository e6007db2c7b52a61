"""Counters: the histogram and the damped rates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.runtime.instruments import Rate, Timing


@given(st.lists(st.floats(0, 200), min_size=1))
def test_a_timing_keeps_count_and_sum_and_its_quantiles_are_in_order(values: list[float]) -> None:
    timing = Timing()
    for value in values:
        timing.add(value)
    assert sum(timing.counts) == timing.count == len(values)
    assert timing.sum == pytest.approx(sum(values))
    low, middle, high = (timing.quantile(share) for share in (0.1, 0.5, 0.99))
    assert 0 <= low <= middle <= high <= timing.bounds[-1]


@given(st.floats(0.00001, 74), st.integers(1, 30))
def test_a_quantile_is_in_the_bucket_of_what_was_measured(value: float, times: int) -> None:
    timing = Timing()
    for _ in range(times):
        timing.add(value)
    found = timing.quantile(0.5)
    assert found is not None
    assert [bound for bound in timing.bounds if bound < value][-1:] <= [found]
    assert found <= next(bound for bound in timing.bounds if bound >= value)


def test_a_timing_without_measurements_has_no_quantile() -> None:
    assert Timing().quantile(0.5) is None


def test_a_steady_rate_is_found_and_fades() -> None:
    rate = Rate()
    for tenth in range(20 * 60 * 10):
        rate.add(tenth / 10)
    assert rate.per_second(1200) == pytest.approx((10, 10, 10 * (1 - 2.718281828 ** (-20 / 15))), rel=0.03)
    assert rate.per_second(1260)[0] == pytest.approx(10 / 2.718281828, rel=0.03)
    assert rate.count == 12_000
