"""What every store promises of units of work, whatever it is made of."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.store.contract.conftest import Open
from tests.store.contract.values import SHOP, bot, emit, endpoint, numbers, received, submitted
from zapwire.model.bots import BotId
from zapwire.model.errors import Conflict, Fenced, NotFound, StoreError
from zapwire.model.events import Event
from zapwire.model.messages import MessageState
from zapwire.store.fencing import OwnedStore
from zapwire.store.ports import Store, UnitOfWork


async def test_what_was_answered_is_there_when_it_is_opened_again(opened: Open):
    async with opened() as store:
        await store.write(bot)
        await store.write(lambda unit: emit(unit, 7))
    async with opened() as store:
        assert [row.id for row in await store.read(lambda view: view.bots.all_bots())] == [SHOP]
        assert await numbers(store) == [7]


async def test_a_unit_that_raises_changes_nothing_and_no_other_one(store: Store):
    await store.write(bot)

    def fails(unit: UnitOfWork) -> None:
        emit(unit, 2)
        unit.outbox.insert(submitted(1), MessageState.QUEUED)
        raise NotFound("no")

    done = await asyncio.gather(
        store.write(lambda unit: emit(unit, 1)),
        store.write(fails),
        store.write(lambda unit: emit(unit, 3)),
        return_exceptions=True,
    )
    assert [type(one) for one in done] == [Event, NotFound, Event]
    assert await numbers(store) == [1, 3]
    assert await store.read(lambda view: view.outbox.waiting(SHOP)) == []
    assert [event.data["number"] for event in store.tail.after(0) or ()] == [1, 3], "and it was not published"


async def test_an_event_is_published_once_it_is_committed_and_memory_is_up_to_date_before(store: Store):
    await store.write(bot)
    seen: list[tuple[str, Any]] = []
    start, wake = store.tail.last_seq, store.tail.wake

    def work(unit: UnitOfWork) -> None:
        emit(unit, 1)
        unit.after_commit.append(lambda: seen.append(("step", store.tail.last_seq)))
        assert store.tail.last_seq == start, "not before the commit"

    await store.write(work)
    assert seen == [("step", start)]
    assert wake.is_set()
    assert store.tail.last_seq == start + 1


async def test_a_step_after_the_commit_that_raises_costs_nobody_anything(store: Store):
    def work(unit: UnitOfWork) -> str:
        unit.after_commit.append(lambda: 1 // 0)
        return "done"

    await store.write(bot)
    assert await store.write(work) == "done"
    assert await store.write(lambda unit: emit(unit).seq) > 0


async def test_a_view_is_one_state_and_cannot_write(store: Store):
    await store.write(bot)
    await store.write(lambda unit: emit(unit, 1))
    with pytest.raises(StoreError):
        await store.read(lambda view: view.journal.append("bot.state", SHOP, {}))
    with pytest.raises(StoreError):
        await store.look_up(lambda view: view.bots.delete(SHOP))
    assert await numbers(store) == [1]


async def test_a_cancelled_caller_does_not_undo_its_write(store: Store):
    await store.write(bot)
    writing = asyncio.create_task(store.write(lambda unit: emit(unit, 5)))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    await store.write(lambda unit: emit(unit, 6))
    assert (await numbers(store))[-1] == 6, "and nothing behind it is harmed"


async def take_over(store: Store, name: BotId) -> OwnedStore:
    owned = OwnedStore(store, name)
    await store.write(owned.claim)
    return owned


async def test_the_first_write_for_a_bot_makes_its_owner(store: Store):
    await store.write(bot)
    before = await take_over(store, SHOP)
    owned = OwnedStore(store, SHOP)
    await before.write(lambda unit: emit(unit, 1))
    await owned.write(lambda unit: emit(unit, 2))
    with pytest.raises(Fenced):
        await before.write(lambda unit: emit(unit, 3))
    assert await numbers(store) == [1, 2]


async def test_the_writes_of_a_former_owner_are_refused(store: Store):
    await store.write(bot)
    before = await take_over(store, SHOP)
    await before.write(lambda unit: emit(unit, 1))
    now = await take_over(store, SHOP)
    with pytest.raises(Fenced):
        await before.write(lambda unit: emit(unit, 2))
    await now.write(lambda unit: emit(unit, 3))
    assert await numbers(store) == [1, 3]
    assert await before.read(lambda view: view.bots.epoch(SHOP)) == 2, "who only reads is let in"


async def test_the_epoch_outlives_the_process_and_ends_with_the_bot(opened: Open):
    async with opened() as store:
        await store.write(bot)
        await take_over(store, SHOP)
        before = await take_over(store, SHOP)
    async with opened() as store:
        assert await store.read(lambda view: view.bots.epoch(SHOP)) == 2
        owned = await take_over(store, SHOP)
        await store.write(lambda unit: unit.bots.delete(SHOP))
        with pytest.raises(Fenced):
            await owned.write(lambda unit: emit(unit, 1))
        await store.purged(SHOP)
    with pytest.raises(StoreError):
        await before.write(lambda unit: emit(unit, 1))  # it is closed


async def test_a_closed_store_refuses_in_words(opened: Open):
    async with opened() as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.write(bot)


async def test_what_is_deleted_is_hidden_at_once_and_its_id_is_free_once_it_is_gone(store: Store):
    await store.write(bot)

    def fill(unit: UnitOfWork) -> None:
        known = unit.persons.learn(SHOP, received(1).chat)
        unit.messages.insert(SHOP, received(1), known, known)
        unit.outbox.insert(submitted(1), MessageState.QUEUED)
        emit(unit, 1)

    await store.write(fill)
    await store.write(lambda unit: unit.bots.delete(SHOP))
    assert await store.read(lambda view: view.bots.all_bots()) == []
    assert await numbers(store) == []
    assert await store.read(lambda view: view.outbox.get(SHOP, "msg_1")) is None
    await store.purged(SHOP)
    await store.write(bot)
    assert await store.read(lambda view: view.outbox.waiting(SHOP)) == []


async def test_an_id_is_taken_while_what_a_deleted_bot_left_is_purged(store: Store):
    await store.write(bot)

    def both(unit: UnitOfWork) -> None:
        unit.bots.delete(SHOP)
        bot(unit)

    with pytest.raises(Conflict):
        await store.write(both)


async def test_the_endpoint_begins_behind_what_was_committed_before(store: Store):
    await store.write(bot)
    await store.write(lambda unit: emit(unit, 1))
    made = await store.write(endpoint)
    assert made.cursor == store.tail.last_seq
