"""Who passes the gate and who stands at it. Time is the test's own; that somebody stands there is seen, not assumed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from zapwire.transport.whatsapp_web.engine import gate as gates
from zapwire.transport.whatsapp_web.engine.gate import Gate


class Order:
    """Threads note what they did; a test waits for a note."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._noted = threading.Condition()

    def note(self, text: str) -> None:
        with self._noted:
            self.notes.append(text)
            self._noted.notify_all()

    def wait_for(self, text: str) -> None:
        with self._noted:
            assert self._noted.wait_for(lambda: text in self.notes, timeout=10)


class Looks(threading.Condition):
    """The gate's condition, which counts how often somebody looked and had to wait."""

    def __init__(self) -> None:
        super().__init__()
        self._looks = 0
        self._counted = threading.Condition()

    def wait(self, timeout: float | None = None) -> bool:
        with self._counted:
            self._looks += 1
            self._counted.notify_all()
        return super().wait(timeout)

    def somebody_stands(self) -> None:
        """Return once somebody has looked three more times, and had to wait each time."""
        with self._counted:
            wanted = self._looks + 3
            assert self._counted.wait_for(lambda: self._looks >= wanted, timeout=10)


class WatchedGate(Gate):
    def __init__(self, size: Callable[[], int | None] | None = None) -> None:
        super().__init__(size)
        self._condition: Looks = Looks()
        self.somebody_stands = self._condition.somebody_stands


class Clock:
    """The gate's time."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(gates, "time", SimpleNamespace(monotonic=made))
    return made


def in_thread(function: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_a_second_start_waits_for_the_first_sign_of_life_of_the_first(clock: Clock):
    gate, order = WatchedGate(), Order()
    first = gate.begin_start()
    in_thread(lambda: (gate.begin_start(), order.note("second started")))
    gate.somebody_stands()
    assert order.notes == []
    order.note("first lives")
    gate.end(first)
    order.wait_for("second started")
    assert order.notes == ["first lives", "second started"]


def test_a_start_that_dials_for_ever_gives_way(clock: Clock):
    gate, order = WatchedGate(), Order()
    gate.begin_start()
    in_thread(lambda: (gate.begin_start(), order.note("second")))
    gate.somebody_stands()
    clock.pass_by(gates.CHANGE_LONGEST)
    gate.somebody_stands()
    assert order.notes == []
    clock.pass_by(gates.CALL_BEGINNING)
    order.wait_for("second")


class Table:
    """The engine's table of clients as the gate sees it."""

    def __init__(self) -> None:
        self.clients: int | None = 0

    def size(self) -> int | None:
        return self.clients

    def enter(self) -> None:
        self.clients = (self.clients or 0) + 1


def start_and_dial(gate: Gate, table: Table, clock: Clock, seconds: float, route: str = "") -> None:
    """A start whose dial takes this long; the gate has seen that it was written."""
    change = gate.begin_start(route)
    table.enter()
    with gate.call():  # whoever wants to the table looks
        pass
    clock.pass_by(seconds)
    gate.end(change, dialled=True)


def test_starts_follow_each_other_while_no_dial_can_be_done(clock: Clock):
    table, order = Table(), Order()
    gate = WatchedGate(table.size)
    start_and_dial(gate, table, clock, 0.4)
    changes = []

    def start() -> None:
        for _ in range(3):
            changes.append(gate.begin_start())
            table.enter()
        order.note("three started")

    in_thread(start)
    order.wait_for("three started")
    clock.pass_by(0.19)  # not half of the known dial yet
    in_thread(lambda: (changes.append(gate.begin_start()), table.enter(), order.note("fourth")))
    order.wait_for("fourth")
    # from then on a dial may end at any moment: the table is left alone until all have
    clock.pass_by(0.02)
    in_thread(lambda: (gate.begin_start(), order.note("fifth")))
    gate.somebody_stands()
    assert order.notes == ["three started", "fourth"]
    for change in changes:
        gate.end(change, dialled=True)
    order.wait_for("fifth")


def test_a_dial_that_is_seen_late_is_not_taken_for_a_young_one(clock: Clock):
    table, order = Table(), Order()
    gate = WatchedGate(table.size)
    start_and_dial(gate, table, clock, 0.4)
    first = gate.begin_start()
    table.enter()
    clock.pass_by(0.25)  # nobody looks
    in_thread(lambda: (gate.begin_start(), order.note("second")))
    gate.somebody_stands()
    assert order.notes == []
    gate.end(first, dialled=True)
    order.wait_for("second")


def test_what_is_known_of_one_way_says_nothing_of_another(clock: Clock):
    table, order = Table(), Order()
    gate = WatchedGate(table.size)
    start_and_dial(gate, table, clock, 0.2, "slow proxy")
    first = gate.begin_start("new proxy")
    table.enter()
    in_thread(lambda: (gate.begin_start("slow proxy"), order.note("second")))
    gate.somebody_stands()
    assert order.notes == []
    gate.end(first, dialled=True)
    order.wait_for("second")
    table.enter()
    in_thread(lambda: (gate.begin_start("slow proxy"), order.note("third")))  # which is known
    order.wait_for("third")


def call(gate: Gate, order: Order) -> threading.Thread:
    def begin() -> None:
        with gate.call():
            order.note("called")

    return in_thread(begin)


def test_calls_wait_until_a_start_is_seen_in_the_table(clock: Clock):
    table, order = Table(), Order()
    gate = WatchedGate(table.size)
    gate.begin_start()
    call(gate, order)
    clock.pass_by(gates.START_WRITING * 2)  # counts only where the table cannot be seen
    gate.somebody_stands()
    table.clients = None  # being written
    gate.somebody_stands()
    order.note("written")
    table.clients = 1
    order.wait_for("called")
    assert order.notes == ["written", "called"]


def test_no_call_begins_while_a_stop_writes():
    gate, order = WatchedGate(), Order()

    def stop() -> None:
        call(gate, order)
        gate.somebody_stands()
        order.note("stopped")

    gate.stop(stop)
    order.wait_for("called")
    assert order.notes == ["stopped", "called"]


def test_calls_begin_while_a_start_only_dials_as_far_as_that_is_known(clock: Clock):
    gate, order = WatchedGate(), Order()
    change = gate.begin_start()
    clock.pass_by(gates.START_WRITING * 0.9)
    call(gate, order)
    gate.somebody_stands()
    assert order.notes == []
    clock.pass_by(gates.START_WRITING * 0.2)
    order.wait_for("called")
    gate.end(change)


def test_a_change_waits_until_a_call_is_past_its_beginning_but_not_for_its_end():
    gate, order = Gate(), Order()
    with gate.call():
        began = time.monotonic()
        gate.stop(lambda: order.note("stopped"))
        assert time.monotonic() - began >= gates.CALL_BEGINNING * 0.9
    assert order.notes == ["stopped"]


def test_stops_that_wait_together_share_one_turn():
    gate, order = Gate(), Order()
    change = gate.begin_start()
    threads = [in_thread(lambda: gate.stop(lambda: order.note("stopped"))) for _ in range(20)]
    while len(gate._stops) < 20:
        time.sleep(0.001)
    gate.end(change)
    for thread in threads:
        thread.join(10)
    assert order.notes == ["stopped"] * 20
    assert gate.passed == 2


def test_stops_behind_one_that_hangs_take_the_table_anew(monkeypatch):
    monkeypatch.setattr(gates, "CHANGE_LONGEST", 0.2)
    gate, order = WatchedGate(), Order()
    change = gate.begin_start()
    hangs = threading.Event()
    for number, stop in enumerate((lambda: (hangs.wait(10), order.note("first")), lambda: order.note("second"))):
        in_thread(lambda stop=stop: gate.stop(stop))
        while len(gate._stops) <= number:
            time.sleep(0.001)
    gate.end(change)
    while gate._stops:  # both are in one turn
        time.sleep(0.001)

    def hold() -> None:
        hangs.set()
        order.wait_for("first")
        gate.somebody_stands()
        order.note("other stop")

    gate.stop(hold)  # the one that hangs does not keep it out for ever
    order.wait_for("second")
    assert order.notes == ["first", "other stop", "second"]


def test_ending_an_old_change_does_not_end_the_present_one():
    gate, order = WatchedGate(), Order()
    old = gate.begin_start()
    gate.end(old)
    present = gate.begin_start()
    gate.end(old)
    in_thread(lambda: (gate.begin_start(), order.note("third")))
    gate.somebody_stands()
    assert order.notes == []
    gate.end(present)
    order.wait_for("third")


def test_a_change_gets_its_turn_among_calls_that_never_pause():
    gate = Gate()
    changed = threading.Event()

    def calls() -> None:
        while not changed.is_set():
            with gate.call():
                time.sleep(0.01)

    def change() -> None:
        gate.stop(changed.set)

    threads = [threading.Thread(target=calls, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    threading.Thread(target=change, daemon=True).start()
    in_time = changed.wait(5)
    changed.set()
    for thread in threads:
        thread.join()
    assert in_time
