"""What every store promises of messages: once, in order, and forward only."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.contract.conftest import Open
from tests.store.contract.values import NOW, SHOP, bot, received, state_of, submitted
from zapwire.model.errors import InvalidInput
from zapwire.model.messages import MessageId, MessageState, Party
from zapwire.store.ports import Store, UnitOfWork

ONE, TWO = MessageId("msg_1"), MessageId("msg_2")


def insert(unit: UnitOfWork, number: int = 1) -> bool:
    message = received(number)
    known = unit.persons.learn(SHOP, message.chat)
    return unit.messages.insert(SHOP, message, known, known)


async def test_a_message_that_comes_again_is_known(opened: Open):
    async with opened() as store:
        await store.write(bot)
        assert await store.write(insert)
        assert not await store.write(insert)
    async with opened() as store:
        assert not await store.write(insert)
        assert await store.read(lambda view: view.messages.came_from(SHOP, "1@lid"))
        assert not await store.read(lambda view: view.messages.came_from(SHOP, "2@lid"))


async def test_what_waits_is_there_again_in_the_order_in_which_it_came(opened: Open):
    async with opened() as store:
        await store.write(bot)
        for number in (3, 1, 2):
            await store.write(lambda unit, number=number: unit.outbox.insert(submitted(number), MessageState.QUEUED))
    async with opened() as store:
        waiting = await store.read(lambda view: view.outbox.waiting(SHOP))
        assert [message.id for message in waiting] == ["msg_3", "msg_1", "msg_2"]
        assert {message.to.jid for message in waiting} == {"1@lid"}


async def test_a_schedule_is_moved_and_what_is_not_due_is_neither_taken_nor_expired(store: Store):
    await store.write(bot)
    later, latest = NOW + timedelta(hours=1), NOW + timedelta(days=2)
    usual = replace(submitted(1), due=NOW, deadline=NOW)
    given = replace(submitted(2), due=NOW, deadline=NOW + timedelta(minutes=1), deadline_given=True)
    for message in (usual, given, submitted(3)):
        await store.write(lambda unit, message=message: unit.outbox.insert(message, MessageState.QUEUED))
    moved = await store.write(lambda unit: unit.outbox.reschedule(SHOP, ONE, later, latest))
    assert moved is not None
    assert (moved.id, moved.due, moved.deadline) == (ONE, later, latest)
    assert await store.write(lambda unit: unit.outbox.take(SHOP, ONE)) is None, "not due any more"
    assert not await store.write(lambda unit: unit.outbox.expire(ONE, "late")), "its deadline was moved, too"
    with pytest.raises(InvalidInput):
        await store.write(lambda unit: unit.outbox.reschedule(SHOP, TWO, later, latest))
    taken = await store.write(lambda unit: unit.outbox.take(SHOP, TWO))
    assert (taken and taken.state) is MessageState.SENDING, "nothing of it was moved"
    assert await store.write(lambda unit: unit.outbox.reschedule(SHOP, TWO, later, latest)) is None
    assert await store.write(lambda unit: unit.outbox.reschedule(SHOP, "msg_3", later, latest)) is None


async def test_an_idempotency_key_finds_its_message(store: Store):
    await store.write(bot)
    await store.write(lambda unit: unit.outbox.insert(submitted(1, key="order-7"), MessageState.QUEUED))
    found = await store.read(lambda view: view.outbox.by_key(SHOP, "order-7"))
    assert found is not None
    assert (found[0].id, found[1]) == (ONE, b"digest")
    assert await store.read(lambda view: view.outbox.by_key(SHOP, "order-8")) is None


async def test_what_was_being_sent_in_a_crash_becomes_unknown_and_is_never_sent_again(opened: Open):
    async with opened() as store:
        await store.write(bot)
        await store.write(lambda unit: unit.outbox.insert(submitted(1), MessageState.QUEUED))
        await store.write(lambda unit: unit.outbox.insert(submitted(2), MessageState.SENDING))
        taken = await store.write(lambda unit: unit.outbox.take(SHOP, ONE))
        assert taken is not None
        assert await store.write(lambda unit: unit.outbox.take(SHOP, ONE)) is None, "only once"
    async with opened() as store:
        assert await store.write(lambda unit: unit.outbox.interrupted(SHOP, "it stopped")) == [ONE, TWO]
        assert await state_of(store, ONE) is MessageState.UNKNOWN
        assert await store.read(lambda view: view.outbox.waiting(SHOP)) == []


async def test_a_receipt_that_is_faster_than_the_answer_counts_and_nothing_goes_back(store: Store):
    await store.write(bot)
    await store.write(lambda unit: unit.outbox.insert(submitted(1), MessageState.SENDING))
    assert await store.write(lambda unit: unit.outbox.advance(SHOP, "3EB", MessageState.READ)) is None

    def sent(unit: UnitOfWork) -> list[MessageState]:
        steps = unit.outbox.sent(SHOP, ONE, "3EB", NOW)
        return [step for step, _ in steps if step is MessageState.SENT or unit.outbox.apply_step(ONE, step)]

    assert await store.write(sent) == [MessageState.SENT, MessageState.READ]
    assert await store.write(lambda unit: unit.outbox.advance(SHOP, "3EB", MessageState.DELIVERED)) is None
    assert await state_of(store, ONE) is MessageState.READ


async def test_a_message_that_the_network_accepted_may_fail_until_it_is_delivered(store: Store):
    await store.write(bot)
    for number in (1, 2):
        await store.write(lambda unit, number=number: unit.outbox.insert(submitted(number), MessageState.SENDING))
        await store.write(
            lambda unit, number=number: unit.outbox.sent(SHOP, MessageId(f"msg_{number}"), f"3EB{number}", NOW)
        )
    failed = await store.write(lambda unit: unit.outbox.advance(SHOP, "3EB1", MessageState.FAILED, "no such number"))
    assert failed == ONE
    found = await store.read(lambda view: view.outbox.get(SHOP, ONE))
    assert (found.state, found.reason) == (MessageState.FAILED, "no such number")
    assert await store.write(lambda unit: unit.outbox.advance(SHOP, "3EB1", MessageState.READ)) is None
    assert await store.write(lambda unit: unit.outbox.advance(SHOP, "3EB2", MessageState.DELIVERED)) == TWO
    assert await store.write(lambda unit: unit.outbox.advance(SHOP, "3EB2", MessageState.FAILED, "late")) is None
    assert await state_of(store, TWO) is MessageState.DELIVERED


async def test_a_failure_that_is_faster_than_the_answer_counts_unless_it_was_delivered(store: Store):
    await store.write(bot)
    await store.write(lambda unit: unit.outbox.insert(submitted(1), MessageState.SENDING))
    await store.write(lambda unit: unit.outbox.advance(SHOP, "3EB", MessageState.FAILED, "no such number"))
    assert await store.write(lambda unit: unit.outbox.sent(SHOP, ONE, "3EB", NOW)) == [
        (MessageState.SENT, None),
        (MessageState.FAILED, "no such number"),
    ]
    await store.write(lambda unit: unit.outbox.insert(submitted(2), MessageState.SENDING))
    await store.write(lambda unit: unit.outbox.advance(SHOP, "3EC", MessageState.DELIVERED))
    await store.write(lambda unit: unit.outbox.advance(SHOP, "3EC", MessageState.FAILED, "late"))
    assert (await store.write(lambda unit: unit.outbox.sent(SHOP, TWO, "3EC", NOW)))[1] == (
        MessageState.DELIVERED,
        None,
    )


async def test_what_waits_for_an_account_that_is_gone_is_lost(store: Store):
    await store.write(bot)
    await store.write(lambda unit: unit.outbox.insert(submitted(1), MessageState.QUEUED))
    assert await store.write(lambda unit: unit.outbox.next_account(SHOP)) == 1
    assert await store.read(lambda view: view.outbox.waiting(SHOP)) == []
    assert await store.read(lambda view: view.outbox.lost(SHOP, 10)) == [ONE]


async def test_a_person_has_one_id_by_whichever_address(opened: Open):
    lid, phone = "111@lid", "+4915110000001"
    async with opened() as store:
        await store.write(bot)
        first = await store.write(lambda unit: unit.persons.learn(SHOP, Party(lid, lid=lid)))
        both = await store.write(lambda unit: unit.persons.learn(SHOP, Party(lid, phone, lid)))
    async with opened() as store:
        jid = "4915110000001@s.whatsapp.net"
        again = await store.read(lambda view: view.persons.complete(SHOP, Party(jid, phone)))
        assert first.party.id == both.party.id == again.id
        assert (again.jid, again.phone, again.lid) == (lid, phone, lid)


async def test_two_persons_that_turn_out_to_be_one_are_merged(store: Store):
    lid, phone, jid = "111@lid", "+4915110000001", "4915110000001@s.whatsapp.net"
    await store.write(bot)
    by_lid = await store.write(lambda unit: unit.persons.learn(SHOP, Party(lid, lid=lid)))
    by_phone = await store.write(lambda unit: unit.persons.learn(SHOP, Party(jid, phone)))
    both = await store.write(lambda unit: unit.persons.learn(SHOP, Party(lid, phone, lid)))
    assert by_lid.party.id != by_phone.party.id
    assert (both.party.id, both.gone) == (by_lid.party.id, (by_phone.party.id,))
    assert await store.read(lambda view: view.persons.merges()) == [(by_phone.party.id, by_lid.party.id)]
