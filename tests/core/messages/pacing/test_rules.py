"""The rules of pacing, without a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given

from zapwire.core.messages.pacing.rules import BURST, Rate, new_chats_limit, next_day, quiet_until
from zapwire.model.errors import InvalidInput
from zapwire.model.pacing import PacingOptions

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - naive bounds
CLOCKS = st.tuples(st.integers(0, 23), st.integers(0, 59)).map(lambda one: f"{one[0]:02}:{one[1]:02}")


@pytest.mark.parametrize(("days", "limit"), [(-1, 50), (0, 50), (1, 100), (2, 200), (6, 3200), (7, None), (400, None)])
def test_a_new_number_warms_up(days: int, limit: int | None) -> None:
    linked = NOON - timedelta(days=days)
    assert new_chats_limit(PacingOptions(), linked, NOON) == limit
    assert new_chats_limit(PacingOptions(new_chats_per_day=120), linked, NOON) == min(limit or 120, 120)
    assert new_chats_limit(PacingOptions(warm_up=False), linked, NOON) is None
    assert new_chats_limit(PacingOptions(), None, NOON) is None


@pytest.mark.parametrize(
    ("hours", "zone", "now", "until"),
    [
        ("22:00-07:00", "UTC", "2026-03-10T23:00", "2026-03-11T07:00"),
        ("22:00-07:00", "UTC", "2026-03-10T06:59", "2026-03-10T07:00"),
        ("22:00-07:00", "UTC", "2026-03-10T07:00", None),
        ("22:00-07:00", "UTC", "2026-03-10T21:59", None),
        ("13:00-14:00", "Asia/Kolkata", "2026-03-10T08:00", "2026-03-10T08:30"),
        ("13:00-14:00", "UTC", "2026-03-10T12:00", None),
    ],
)
def test_quiet_hours(hours: str, zone: str, now: str, until: str | None) -> None:
    options = PacingOptions(quiet_hours=hours, time_zone=zone)
    found = quiet_until(options, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (None if found is None else found.strftime("%Y-%m-%dT%H:%M")) == until


@given(MOMENTS, CLOCKS, CLOCKS, st.sampled_from(["UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu"]))
def test_quiet_hours_end_within_a_day_and_are_over_then(now: datetime, begin: str, end: str, zone: str) -> None:
    if begin == end:
        return
    options = PacingOptions(quiet_hours=f"{begin}-{end}", time_zone=zone)
    until = quiet_until(options, now)
    if until is not None:
        assert timedelta() < until - now <= timedelta(hours=25)
        assert quiet_until(options, until) is None
    assert timedelta() < next_day(options, now) - now <= timedelta(hours=25)


@pytest.mark.parametrize(
    ("field", "value"),
    [("quiet_hours", "22-7"), ("quiet_hours", "07:00-07:00"), ("quiet_hours", "24:00-07:00"), ("time_zone", "Mars/One"),
     ("time_zone", "../../etc/passwd"), ("time_zone", ""), ("new_chats_per_day", -1), ("messages_per_minute", 10**9)],
)  # fmt: skip
def test_wrong_options_name_their_field(field: str, value: object) -> None:
    with pytest.raises(InvalidInput) as refused:
        PacingOptions(**{field: value})  # type: ignore[arg-type]
    assert refused.value.field == field


@given(st.integers(1, 600), st.lists(st.floats(0, 30), max_size=60))
def test_a_rate_gives_a_burst_and_then_so_many_a_minute(per_minute: int, steps: list[float]) -> None:
    rate, now, places = Rate(), 1000.0, list[float]()
    for step in steps:
        now += step
        free = rate.next_at(per_minute, now)
        place = rate.take(per_minute, now)
        assert free == place >= now
        assert place >= (places[-1] if places else 0)
        places.append(place)
    for first, last in zip(places, places[BURST:], strict=False):
        assert last - first >= 60.0 / per_minute - 1e-6
    if len(steps) <= BURST:
        assert (
            places == [1000.0 + sum(steps[: n + 1]) for n in range(len(steps))]
            or max(
                abs(one - two)
                for one, two in zip(places, [1000.0 + sum(steps[: n + 1]) for n in range(len(steps))], strict=True)
            )
            < 1e-6
        )
