from __future__ import annotations

import threading
import time

from zapwire.transport.whatsapp_web import gate as gates
from zapwire.transport.whatsapp_web.gate import Gate


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


def in_thread(function) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def test_a_second_start_waits_for_the_first_sign_of_life_of_the_first():
    gate, order = Gate(), Order()
    first = gate.begin_start()

    def second():
        gate.begin_start()
        order.note("second started")

    thread = in_thread(second)
    thread.join(0.05)
    assert order.notes == []
    order.note("first lives")
    gate.end(first)
    order.wait_for("second started")
    assert order.notes == ["first lives", "second started"]


def test_a_start_that_dials_for_ever_gives_way(monkeypatch):
    monkeypatch.setattr(gates, "CHANGE_LONGEST", 0.05)
    gate = Gate()
    gate.begin_start()
    gate.begin_start()


class Table:
    """The engine's table of clients as the gate sees it."""

    def __init__(self) -> None:
        self.clients: int | None = 0

    def size(self) -> int | None:
        return self.clients

    def enter(self) -> None:
        self.clients = (self.clients or 0) + 1


def start_and_dial(gate: Gate, table: Table, seconds: float, route: str = "") -> None:
    """A start whose dial takes this long; the gate has seen that it was written."""
    change = gate.begin_start(route)
    table.enter()
    with gate.call():  # whoever wants to the table looks
        pass
    time.sleep(seconds)
    gate.end(change, dialled=True)


def test_starts_follow_each_other_while_no_dial_can_be_done():
    table = Table()
    gate = Gate(table.size)
    start_and_dial(gate, table, 0.4)
    changes = []
    began = time.monotonic()
    for _ in range(3):
        changes.append(gate.begin_start())
        table.enter()
    assert time.monotonic() - began < 0.2  # half of the known dial
    # from then on a dial may end at any moment: the table is left alone until all have
    order = Order()
    thread = in_thread(lambda: (time.sleep(0.25), gate.begin_start(), order.note("fourth")))
    thread.join(0.4)
    assert order.notes == []
    for change in changes:
        gate.end(change, dialled=True)
    order.wait_for("fourth")


def test_a_dial_that_is_seen_late_is_not_taken_for_a_young_one():
    table, order = Table(), Order()
    gate = Gate(table.size)
    start_and_dial(gate, table, 0.4)
    first = gate.begin_start()
    table.enter()
    time.sleep(0.25)  # nobody looks
    thread = in_thread(lambda: (gate.begin_start(), order.note("second")))
    thread.join(0.1)
    assert order.notes == []
    gate.end(first, dialled=True)
    order.wait_for("second")


def test_what_is_known_of_one_way_says_nothing_of_another():
    table, order = Table(), Order()
    gate = Gate(table.size)
    start_and_dial(gate, table, 0.2, "slow proxy")
    first = gate.begin_start("new proxy")
    table.enter()
    thread = in_thread(lambda: (gate.begin_start("slow proxy"), order.note("second")))
    thread.join(0.05)
    assert order.notes == []
    gate.end(first, dialled=True)
    order.wait_for("second")


def test_calls_wait_until_a_start_is_seen_in_the_table():
    table, order = Table(), Order()
    gate = Gate(table.size)
    gate.begin_start()

    def call():
        with gate.call():
            order.note("called")

    thread = in_thread(call)
    thread.join(0.2)
    table.clients = None  # being written
    thread.join(0.05)
    order.note("written")
    table.clients = 1
    order.wait_for("called")
    assert order.notes == ["written", "called"]


def test_no_call_begins_while_a_stop_writes():
    gate, order = Gate(), Order()

    def call():
        with gate.call():
            order.note("called")

    def stop():
        thread = in_thread(call)
        thread.join(0.05)
        order.note("stopped")

    gate.stop(stop)
    order.wait_for("called")
    assert order.notes == ["stopped", "called"]


def test_calls_begin_while_a_start_only_dials(monkeypatch):
    monkeypatch.setattr(gates, "START_WRITING", 0.01)
    gate = Gate()
    change = gate.begin_start()
    with gate.call():
        pass
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
    gate, order = Gate(), Order()
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
        time.sleep(0.05)
        order.note("other stop")

    gate.stop(hold)  # the one that hangs does not keep it out for ever
    order.wait_for("second")
    assert order.notes == ["first", "other stop", "second"]


def test_ending_an_old_change_does_not_end_the_present_one():
    gate, order = Gate(), Order()
    old = gate.begin_start()
    gate.end(old)
    present = gate.begin_start()
    gate.end(old)
    thread = in_thread(lambda: (gate.begin_start(), order.note("third")))
    thread.join(0.05)
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
