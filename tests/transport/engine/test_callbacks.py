"""Callbacks outlive whoever calls them late, and there are no more than were needed at once."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import re
import threading
from pathlib import Path

from zapwire.runtime.file_threads import in_file_thread
from zapwire.transport import whatsapp_web
from zapwire.transport.whatsapp_web.engine.callbacks import REST, CallbackPool, Callbacks
from zapwire.transport.whatsapp_web.engine.log_lines import LogLine


class Heard:
    def __init__(self) -> None:
        self.events: list[tuple[int, bytes]] = []
        self.qr = 0

    def on_event(self, code: int, data: bytes) -> None:
        self.events.append((code, data))

    def on_log(self, line: LogLine) -> None:
        raise AssertionError

    def on_qr(self) -> None:
        self.qr += 1


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def tell(callbacks: Callbacks, data: bytes) -> None:
    buffer = ctypes.create_string_buffer(data, len(data))
    callbacks.functions[2](None, ctypes.addressof(buffer), len(data), 17)


def test_a_late_call_after_the_session_is_heard_by_nobody_and_harms_nobody():
    pool, old, new = CallbackPool(Time()), Heard(), Heard()
    first = pool.lend(old)
    tell(first, b"in time")
    first.functions[0](None, b"qr")
    pool.give_back(first)
    second = pool.lend(new)
    gc.collect()
    tell(first, b"late")
    assert (old.events, old.qr) == ([(17, b"in time")], 1)
    assert new.events == []
    assert second is not first


def test_they_are_lent_again_after_a_rest_and_never_freed():
    time = Time()
    pool = CallbackPool(time)
    for _ in range(1000):  # bots made and deleted
        first, second = pool.lend(Heard()), pool.lend(Heard())
        assert first is not second
        pool.give_back(first)
        pool.give_back(second)
        time.now += REST
    assert len(pool) == 2
    time.now += 1
    pool.give_back(pool.lend(Heard()))
    assert len(pool) == 2
    lent = [pool.lend(Heard()) for _ in range(3)]  # one has rested; one has not, and stays so
    assert len({id(one) for one in lent}) == 3
    assert len(pool) == 4


async def test_work_on_files_does_not_wait_for_lookups_that_hang():
    release = threading.Event()
    hanging = [asyncio.create_task(asyncio.to_thread(release.wait)) for _ in range(64)]
    await asyncio.sleep(0)
    assert await in_file_thread(threading.current_thread) is not threading.current_thread()
    release.set()
    await asyncio.gather(*hanging)
    for path in Path(whatsapp_web.__file__).parent.rglob("*.py"):
        assert not re.search(r"asyncio\.to_thread\(|run_in_executor\(None", path.read_text()), path.name
