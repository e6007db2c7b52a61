from __future__ import annotations

import logging

import pytest

from zapwire.model.errors import Interrupted
from zapwire.transport.whatsapp_web.engine import event_codes, event_pump
from zapwire.transport.whatsapp_web.engine.event_pump import (
    FIRST_REST,
    LONGEST_REST,
    REMEMBERED,
    EventPump,
    PumpEnded,
)

ON_A_RECEIPT = PumpEnded("proto: required field neonize.Receipt.Type not set")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ends(clock: Clock) -> EventPump:
    return EventPump("shop", clock)


def test_the_first_one_restarts_and_changes_nothing(ends: EventPump, clock: Clock, caplog: pytest.LogCaptureFixture):
    for _ in range(3):
        assert isinstance(ends.judge(ON_A_RECEIPT), Interrupted)
        assert ends.subscribed == event_codes.SUBSCRIBED
        clock.now += REMEMBERED + 1
    assert len(caplog.records) == 3


def test_whoever_goes_on_gets_receipts_switched_off_longer_each_time(
    ends: EventPump, clock: Clock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    ends.judge(ON_A_RECEIPT)
    day, rests = clock.now + 24 * 3600, []
    while clock.now < day:
        clock.now += 0.1  # at once, each time
        assert isinstance(ends.judge(ON_A_RECEIPT), Interrupted)
        assert event_codes.RECEIPT not in ends.subscribed
        assert event_codes.MESSAGE in ends.subscribed
        before = clock.now
        while not ends.takes_receipts:
            clock.now += 60
        rests.append(clock.now - before)
    assert rests[0] == pytest.approx(FIRST_REST, abs=60)
    assert all(rest <= LONGEST_REST + 60 for rest in rests)
    assert len(rests) <= 10, "connections that a stranger can end in a day"
    assert len(caplog.records) == len(rests) + 1


def test_a_quiet_hour_makes_up_for_it(ends: EventPump, clock: Clock):
    ends.judge(ON_A_RECEIPT)
    ends.judge(ON_A_RECEIPT)
    clock.now += FIRST_REST + REMEMBERED + 1
    ends.judge(ON_A_RECEIPT)
    assert ends.takes_receipts


@pytest.mark.parametrize(
    "said", ["", "proto: required field neonize.Message.Info not set", "x neonize.Receipt.Type not set"]
)
def test_other_ends_are_failures(ends: EventPump, said: str):
    ended = PumpEnded(said)
    for _ in range(3):
        assert ends.judge(ended) is ended
    assert ends.takes_receipts


def test_an_end_without_receipts_is_not_theirs(ends: EventPump):
    ends.judge(ON_A_RECEIPT)
    ends.judge(ON_A_RECEIPT)
    assert ends.judge(ON_A_RECEIPT) is ON_A_RECEIPT
    assert event_pump.NO_RECEIPTS.condition.value == "receipts"
