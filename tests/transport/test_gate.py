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
    monkeypatch.setattr(gates, "START_LONGEST", 0.05)
    gate = Gate()
    gate.begin_start()
    gate.begin_start()


def test_no_call_begins_while_a_stop_writes():
    gate, order = Gate(), Order()

    def call():
        with gate.call():
            order.note("called")

    with gate.stop():
        thread = in_thread(call)
        thread.join(0.05)
        order.note("stopped")
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
    gate = Gate()
    with gate.call():
        began = time.monotonic()
        with gate.stop():
            assert time.monotonic() - began >= gates.CALL_BEGINNING * 0.9


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
        with gate.stop():
            changed.set()

    threads = [threading.Thread(target=calls, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    threading.Thread(target=change, daemon=True).start()
    in_time = changed.wait(5)
    changed.set()
    for thread in threads:
        thread.join()
    assert in_time
