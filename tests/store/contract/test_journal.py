"""The order of the journal, which every cursor relies on."""

from __future__ import annotations

import asyncio
from functools import partial

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.contract.conftest import Open
from tests.store.contract.values import SHOP, bot, emit, numbers
from zapwire.model.bots import BotId
from zapwire.model.events import Event
from zapwire.store.ports import Store, UnitOfWork

OTHER = BotId("other")


async def test_no_event_turns_up_behind_a_cursor_that_has_passed_it(store: Store):
    """Writers side by side, a reader that never looks back: it gets every event once, in the order of the numbers."""
    await store.write(bot)
    seen: list[int] = []
    cursor = 0

    async def read_on() -> None:
        nonlocal cursor
        events, cursor = await store.read(lambda view: view.journal.read(cursor, 7))
        seen.extend(event.seq for event in events)

    async def write(lane: int) -> None:
        for number in range(20):
            await store.write(partial(emit, number=lane * 100 + number))
            await asyncio.sleep(0)

    writing = asyncio.gather(*(write(lane) for lane in range(5)))
    while not writing.done():
        await read_on()
    await writing
    while len(seen) < 100:
        before = len(seen)
        await read_on()
        assert len(seen) > before, "an event was passed by"
    assert seen == sorted(set(seen))
    found = await numbers(store)
    for lane in range(5):
        assert [number for number in found if number // 100 == lane] == [lane * 100 + number for number in range(20)]


async def test_a_cursor_does_not_pass_what_is_not_committed_yet(store: Store):
    await store.write(bot)
    await store.write(partial(emit, number=1))
    _, cursor = await store.read(lambda view: view.journal.read(0, 10))
    assert cursor == store.tail.last_seq
    _, further = await store.read(lambda view: view.journal.read(cursor, 10))
    assert further == cursor
    await store.write(partial(emit, number=2))
    events, _ = await store.read(lambda view: view.journal.read(cursor, 10))
    assert [event.data["number"] for event in events if isinstance(event, Event)] == [2]


async def test_what_was_published_can_be_read_and_nothing_later_when_that_is_asked(store: Store):
    await store.write(bot)
    first = await store.write(partial(emit, number=1))
    await store.write(partial(emit, number=2))
    events, cursor = await store.read(lambda view: view.journal.read(0, 10, upto=first.seq))
    assert ([event.seq for event in events], cursor) == ([first.seq], first.seq)


async def test_filters_move_the_cursor_past_what_does_not_match(store: Store):
    await store.write(bot)
    await store.write(lambda unit: bot(unit, OTHER))
    for number in range(6):
        await store.write(partial(emit, number=number, name=(SHOP, OTHER)[number % 2]))
    events, cursor = await store.read(lambda view: view.journal.read(0, 10, bots=[OTHER]))
    assert [event.data["number"] for event in events if isinstance(event, Event)] == [1, 3, 5]
    assert cursor == store.tail.last_seq


async def test_numbers_are_never_used_again(opened: Open):
    async with opened() as store:
        await store.write(bot)
        last = await store.write(partial(emit, number=1))
        await store.write(lambda unit: unit.retention.prune_events(10, last.seq))
        assert await store.read(lambda view: view.journal.floor()) == last.seq
    async with opened() as store:
        assert store.tail.last_seq == last.seq
        assert (await store.write(partial(emit, number=2))).seq > last.seq


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=12))
async def test_the_order_of_commits_is_the_order_of_the_numbers(store: Store, writes: list[tuple[int, bool]]):
    """Units begun in an order, some of which fail: their events stand in that order and without those that failed."""
    await store.write(lambda unit: None if unit.bots.epoch(SHOP) is not None else bot(unit))
    start = store.tail.last_seq

    def work(unit: UnitOfWork, at: int, count: int, *, fails: bool) -> None:
        for _ in range(count):
            emit(unit, at)
        if fails:
            raise ValueError

    await asyncio.gather(
        *(store.write(partial(work, at=at, count=count, fails=fails)) for at, (count, fails) in enumerate(writes)),
        return_exceptions=True,
    )
    wanted = [at for at, (count, fails) in enumerate(writes) if not fails for _ in range(count)]
    assert await numbers(store, start) == wanted
    assert [event.data["number"] for event in store.tail.after(start) or ()] == wanted
