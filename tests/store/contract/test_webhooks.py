"""What every store promises of endpoints and deliveries."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.store.contract.conftest import Open
from tests.store.contract.values import bot, emit, endpoint
from zapwire.model import timestamps
from zapwire.model.deliveries import Attempt, DeliveryFilter, DeliveryRecord, DeliveryState
from zapwire.model.events import Event
from zapwire.model.tokens import Token
from zapwire.store.ports import Store

LANE = "shop/prs_1"


def record(event: Event, state: DeliveryState, due: float | None = None) -> DeliveryRecord:
    now = timestamps.now()
    attempt = None if state is DeliveryState.PENDING else Attempt(now, 500, 3, "no")
    return DeliveryRecord(
        seq=event.seq,
        event=event.id,
        type=event.type,
        bot=event.bot,
        lane=LANE,
        happened=now,
        state=state,
        replay=False,
        tries=0 if attempt is None else 1,
        since=now,
        due=None if due is None else now + timedelta(seconds=due),
        attempt=attempt,
    )


async def test_a_cursor_is_kept(opened: Open):
    async with opened() as store:
        await store.write(bot)
        await store.write(endpoint)
        event = await store.write(emit)
        await store.write(lambda unit: unit.endpoints.save_cursor("whk_1", event.seq))
    async with opened() as store:
        [kept] = await store.read(lambda view: view.endpoints.all_endpoints())
        assert kept.cursor == event.seq
        keys = await store.read(lambda view: view.endpoints.keys("whk_1"))
        assert keys is not None
        assert keys.secret == "whsec_x"


async def test_what_waits_goes_out_in_the_order_of_the_events(store: Store):
    await store.write(bot)
    await store.write(endpoint)
    first, second = await store.write(emit), await store.write(emit)
    await store.write(lambda unit: unit.delivery_queue.store("whk_1", [record(second, DeliveryState.PENDING)]))
    await store.write(lambda unit: unit.delivery_queue.store("whk_1", [record(first, DeliveryState.FAILED, 0)]))
    [lane] = await store.read(lambda view: view.delivery_queue.lanes("whk_1"))
    waiting = await store.read(lambda view: view.delivery_queue.waiting("whk_1", [lane.key], replay=False, limit=10))
    assert [(one.seq, one.tries) for one in waiting] == [(first.seq, 1), (second.seq, 0)]
    assert [one.event for one in waiting] == [first, second]


async def test_a_dead_letter_keeps_its_event_when_the_journal_does_not(store: Store):
    await store.write(bot)
    await store.write(endpoint)
    event = await store.write(emit)
    dead = record(event, DeliveryState.DEAD)
    await store.write(lambda unit: unit.delivery_queue.bury("whk_1", dead, "the body"))
    await store.write(lambda unit: unit.retention.prune_events(10, event.seq))
    assert not await store.read(lambda view: view.journal.has(event.seq))
    assert await store.read(lambda view: view.delivery_queue.letter("whk_1", event.seq)) == "the body"
    rows, _ = await store.read(lambda view: view.delivery_log.replayable("whk_1", DeliveryFilter(), 0, 10))
    assert [seq for seq, _ in rows] == [event.seq]


async def test_nothing_is_stored_for_an_endpoint_that_is_gone(store: Store):
    await store.write(bot)
    await store.write(endpoint)
    event = await store.write(emit)
    assert await store.write(lambda unit: unit.endpoints.delete("whk_1"))
    await store.write(lambda unit: unit.delivery_queue.store("whk_1", [record(event, DeliveryState.DELIVERED)]))
    assert await store.read(lambda view: view.endpoints.get("whk_1")) is None
    assert (await store.read(lambda view: view.backlog.backlog())).queued == 0


async def test_events_that_an_endpoint_still_had_to_get_are_emitted_as_a_gap(store: Store):
    await store.write(bot)
    await store.write(endpoint)
    event = await store.write(emit)
    await store.write(lambda unit: unit.retention.prune_events(10, event.seq))
    await store.write(lambda unit: unit.retention.tell_gaps())
    events, _ = await store.read(lambda view: view.journal.read(event.seq, 10))
    assert [(one.type, one.data["count"]) for one in events if isinstance(one, Event)] == [("webhook.gap", 1)]


async def test_a_token_is_found_by_its_digest_until_it_is_deleted(store: Store):
    token = Token("tok_1", "laptop", timestamps.now(), None)
    await store.write(lambda unit: unit.tokens.insert(token, b"\1" * 32))
    found = await store.look_up(lambda view: view.tokens.by_digest(b"\1" * 32))
    assert found is not None
    assert (found.id, found.name) == ("tok_1", "laptop")
    assert await store.look_up(lambda view: view.tokens.by_digest(b"\2" * 32)) is None
    assert await store.write(lambda unit: unit.tokens.delete("laptop"))
    assert await store.look_up(lambda view: view.tokens.by_digest(b"\1" * 32)) is None


async def test_an_endpoint_is_changed_as_a_whole(store: Store):
    await store.write(bot)
    made = await store.write(endpoint)
    await store.write(lambda unit: unit.endpoints.update(replace(made, description="stock", events=("message.*",))))
    found = await store.read(lambda view: view.endpoints.get("whk_1"))
    assert found is not None
    assert (found.description, found.events, found.url) == ("stock", ("message.*",), made.url)
