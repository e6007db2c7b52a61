"""The pools of call threads, with calls that hang until the test lets them go."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from zapwire.transport.whatsapp_web.engine import call_pool
from zapwire.transport.whatsapp_web.engine.call_pool import CallPool, NotBegun

LONG = 30.0
"""Longer than any test waits."""


class Hanging:
    """Calls that hang, and how many of them the pool has begun."""

    def __init__(self) -> None:
        self.begun: asyncio.Queue[None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        self._go = threading.Event()

    def __call__(self) -> str:
        self._loop.call_soon_threadsafe(self.begun.put_nowait, None)
        assert self._go.wait(LONG)
        return "done"

    def let_go(self) -> None:
        self._go.set()


def begin(pool: CallPool, owner: str, function: Callable[[], Any], **bounds: float) -> asyncio.Task[Any]:
    return asyncio.create_task(pool.run(owner, function, **{"begin_within": LONG, **bounds}))


async def test_what_hangs_keeps_no_thread_from_others():
    hanging, pool = Hanging(), CallPool("test", 2, 2, hangs=0)
    stuck = [begin(pool, owner, hanging) for owner in ("frozen", "frozen too")]
    for _ in stuck:
        await hanging.begun.get()
    assert await pool.run("healthy", lambda: "well", begin_within=LONG) == "well"
    assert pool.longest("frozen") > pool.longest("healthy")  # whose thread may be putting its tools away
    hanging.let_go()
    assert await asyncio.gather(*stuck) == ["done", "done"]


async def test_the_pool_is_bounded_while_nothing_hangs():
    hanging, pool = Hanging(), CallPool("test", 2, 4)
    calls = [begin(pool, f"bot {number}", hanging) for number in range(4)]
    for _ in range(2):
        await hanging.begun.get()
    assert pool._threads == 2
    assert sum(pool._queue.waiting(f"bot {number}") for number in range(4)) == 2
    hanging.let_go()
    assert await asyncio.gather(*calls) == ["done"] * 4


async def test_what_has_not_begun_in_time_never_begins_and_says_so():
    hanging, pool = Hanging(), CallPool("test", 4, 1)
    stuck = begin(pool, "frozen", hanging)
    await hanging.begun.get()
    called: list[str] = []
    with pytest.raises(NotBegun):
        await pool.run("frozen", lambda: called.append("late"), begin_within=0, end_within=0)
    hanging.let_go()
    await stuck
    assert await pool.run("frozen", lambda: "next", begin_within=LONG) == "next"
    assert called == []


async def test_the_deadline_counts_from_the_beginning_and_leaves_the_place_to_the_thread():
    hanging, pool = Hanging(), CallPool("test", 4, 1)
    with pytest.raises(TimeoutError):
        await pool.run("frozen", hanging, begin_within=LONG, end_within=0)
    assert pool.longest("frozen") > 0, "it still runs"
    with pytest.raises(NotBegun):  # the waiter has gone, the thread has not
        await pool.run("frozen", lambda: None, begin_within=0)
    second = begin(pool, "frozen", lambda: "second", end_within=LONG)
    hanging.let_go()
    assert await second == "second"


async def test_an_owner_with_a_call_that_hangs_begins_no_other():
    hanging, pool = Hanging(), CallPool("test", 4, 4, patience=0)
    stuck = begin(pool, "frozen", hanging)
    await hanging.begun.get()
    with pytest.raises(NotBegun):
        await pool.run("frozen", lambda: None, begin_within=0)
    hanging.let_go()
    await stuck
    assert await pool.run("frozen", lambda: "well", begin_within=LONG) == "well"


async def test_a_call_that_is_given_up_at_the_guard_never_reaches_the_engine():
    at_the_guard, open_it, left = asyncio.Event(), threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    @contextmanager
    def guard() -> Iterator[None]:
        loop.call_soon_threadsafe(at_the_guard.set)
        assert open_it.wait(LONG)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(left.set)

    called: list[str] = []
    pool = CallPool("test", 1, 1, guard)
    waiting = begin(pool, "bot", lambda: called.append("called"))
    await at_the_guard.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    open_it.set()
    await left.wait()
    assert called == []


async def test_a_caller_who_goes_away_takes_what_has_not_begun_along():
    hanging, pool = Hanging(), CallPool("test", 4, 1)
    stuck = begin(pool, "bot", hanging)
    await hanging.begun.get()
    called: list[str] = []
    waiting = begin(pool, "bot", lambda: called.append("called"))
    await asyncio.sleep(0)  # it has been put in
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    hanging.let_go()
    await stuck
    await pool.run("bot", lambda: None, begin_within=LONG)
    assert called == []


async def test_more_than_an_owners_share_is_refused_at_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(call_pool, "WAITING_CALLS", 2)
    hanging, pool = Hanging(), CallPool("test", 4, 1)
    stuck = begin(pool, "bot", hanging)
    await hanging.begun.get()
    waiting = [begin(pool, "bot", lambda: "in time") for _ in range(2)]
    await asyncio.sleep(0)  # they have been put in
    with pytest.raises(NotBegun):
        await pool.run("bot", lambda: None, begin_within=LONG)
    assert await pool.run("other bot", lambda: "well", begin_within=LONG) == "well"
    hanging.let_go()
    assert await asyncio.gather(stuck, *waiting) == ["done", "in time", "in time"]


async def test_what_a_call_raises_is_raised_and_the_thread_goes_on():
    pool = CallPool("test", 1, 1)

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await pool.run("bot", fail, begin_within=LONG)
    assert await pool.run("bot", threading.active_count, begin_within=LONG)


async def test_threads_that_replaced_hanging_ones_end_when_those_come_back():
    hanging, pool = Hanging(), CallPool("test", 1, 1, hangs=0)
    stuck = [begin(pool, f"bot {number}", hanging) for number in range(20)]
    for _ in stuck:
        await hanging.begun.get()
    assert pool._threads >= 20
    pool._hangs = LONG  # from now on none counts as hanging
    hanging.let_go()
    await asyncio.gather(*stuck)
    async with asyncio.timeout(LONG):
        while pool._threads > 1:  # noqa: ASYNC110 - the last ones answer before they end
            await asyncio.sleep(0.001)
    assert await pool.run("bot", lambda: "well", begin_within=LONG) == "well"
