"""Nothing is deleted by a clock that jumped, and a clock that is right is trusted in the end."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from tests.harness.keys import KEYS
from zapwire.model import timestamps
from zapwire.store.ports.journal import PROOF
from zapwire.store.sqlite.migrations import prepare
from zapwire.store.sqlite.sealed_values import connect
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

HOUR, DAY = 3600.0, 24 * 3600.0
START = 1_800_000_000.0


class Machine:
    """A daemon on a machine whose clock may be set; `run` looks once a minute, `boot` is a restart of the daemon."""

    def __init__(self) -> None:
        sql = connect(":memory:")
        prepare(KEYS, sql)
        self.transaction = SqliteUnitOfWork(sql)
        self.clock = START
        self.trusted = True
        self._passed: float | None = None

    def look(self) -> bool:
        now = timestamps.from_ms(int(self.clock * 1000))
        self.trusted = self.transaction.clock.note(now, self._passed) is None
        self._passed = 0.0
        return self.trusted

    def run(self, seconds: float, every: float = 600.0) -> bool:
        """Returns whether it was trusted at the end."""
        while seconds > 0:
            step = min(every, seconds)
            self.clock += step
            seconds -= step
            self._passed = step
            self.look()
        return self.trusted

    def boot(self, after: float = 10.0) -> bool:
        self.clock += after
        self._passed = None
        return self.look()


def test_a_clock_ahead_after_a_restart_is_not_trusted_until_it_has_stood():
    machine = Machine()
    assert machine.look()
    assert machine.run(5 * DAY)
    machine.clock += 100 * DAY
    assert not machine.boot()
    assert not machine.run(23 * HOUR)
    assert machine.run(2 * HOUR)
    assert machine.boot()


def test_a_clock_that_is_set_right_again_is_trusted_at_once():
    machine = Machine()
    machine.look()
    machine.clock += 100 * DAY
    assert not machine.boot()
    machine.run(HOUR)
    machine.clock -= 100 * DAY
    assert machine.run(60)
    machine.clock -= 400 * DAY
    assert not machine.run(60)


def test_a_jump_while_it_runs_is_seen_and_begins_anew_with_each():
    machine = Machine()
    machine.look()
    machine.run(HOUR)
    machine.clock += 100 * DAY
    assert not machine.run(60)
    assert not machine.run(23 * HOUR)
    machine.clock += 10 * DAY
    assert not machine.run(2 * HOUR)
    assert machine.run(DAY)


def test_daily_restarts_do_not_keep_it_from_being_trusted():
    machine = Machine()
    machine.look()
    assert machine.run(DAY)
    machine.clock += 10 * DAY  # off for ten days
    assert not machine.boot()
    for _ in range(5):
        machine.run(5 * HOUR)
        machine.boot(HOUR)
    assert machine.trusted


def test_short_absences_and_a_machine_that_slept_are_nothing():
    machine = Machine()
    machine.look()
    assert machine.boot(47 * HOUR)
    assert machine.run(6 * DAY, every=6 * DAY)  # asleep for six days, which the clock of the kernel counted
    assert machine.boot(47 * HOUR)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["run", "boot"]), st.floats(1, 47 * HOUR)), max_size=30))
def test_a_clock_that_only_goes_on_is_always_trusted(steps: list[tuple[str, float]]):
    machine = Machine()
    machine.look()
    for kind, seconds in steps:
        assert machine.run(seconds, every=seconds) if kind == "run" else machine.boot(seconds)


@settings(max_examples=30, deadline=None)
@given(
    jump=st.floats(60 * DAY, 4000 * DAY) | st.floats(-4000 * DAY, -60 * DAY),
    steps=st.lists(st.tuples(st.sampled_from(["run", "boot"]), st.floats(60, 6 * HOUR)), max_size=20),
)
def test_after_a_jump_it_takes_a_day_of_running(jump: float, steps: list[tuple[str, float]]):
    machine = Machine()
    machine.look()
    machine.clock += jump
    assert not machine.boot(0)
    ran = 0.0
    for kind, seconds in steps:
        if kind == "run":
            machine.run(seconds)
            ran += seconds
        else:
            machine.boot(seconds)
        if ran < PROOF:
            assert not machine.trusted
    machine.run(PROOF)
    assert machine.trusted
