"""A person is one chat, whichever of its addresses are known and whenever they become known."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.messages.test_sending import connected, end, say
from tests.core.receiver import receiver
from tests.core.scripted import PHONE, World, eventually, text, world
from tests.core.webhooks.test_deliveries import FAST, PATIENT, hooked, listed, until
from zapwire.model import timestamps as times
from zapwire.model.deliveries import DeliveryRecord, DeliveryState
from zapwire.model.messages import MessageState, Outgoing, Party, Sent
from zapwire.transport.protocol import Received

LID, JID = "8000000000001@lid", "4915123456789@s.whatsapp.net"
BY_LID, BY_PHONE, BOTH = Party(LID, None, LID), Party(JID, PHONE), Party(LID, PHONE, LID)
GROUP = Party("120363000000000001@g.us")


async def told(at: World) -> list[dict]:
    return [event.data for event in await at.events("message.received")]


async def test_one_person_has_one_id_and_one_jid_whatever_the_stanzas_say(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        for number, chat in enumerate([BY_LID, BOTH, BY_PHONE, BY_LID]):
            await at.tell("bot", text(f"A{number}", chat=chat))
        answer = await say(at, "an answer", PHONE)
        chats = [data["chat"] for data in await told(at)]
        assert {chat["id"] for chat in chats} == {answer.to.id}
        assert {chat["jid"] for chat in chats} == {LID} == {answer.to.jid}
        assert chats[-1] == {"id": answer.to.id, "jid": LID, "phone": PHONE, "lid": LID}
        await end(at, answer)
        assert [message.to for message in at.transports["bot"].sent] == [JID], "it goes where it was sent to"


async def test_a_group_is_its_jid_and_its_people_are_persons(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        for number, sender in enumerate([BY_LID, BOTH, BY_PHONE]):
            event = text(f"A{number}", chat=GROUP)
            await at.tell("bot", Received(replace(event.message, sender=sender)))
        data = await told(at)
        assert {one["chat"]["id"] for one in data} == {GROUP.jid} == {one["chat"]["jid"] for one in data}
        assert len({one["sender"]["id"] for one in data}) == 1


@pytest.mark.parametrize("again", [BY_LID, BOTH, BY_PHONE])
async def test_a_message_that_comes_again_under_another_address_is_told_once(tmp_path: Path, again: Party):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.tell("bot", text("A", chat=BY_LID))
        await at.tell("bot", text("B", chat=BY_PHONE))  # nobody knows yet that this is the same person
        await at.tell("bot", text("C", chat=BOTH))
        for number in "ABC":
            await at.tell("bot", text(number, chat=again))
        assert [one["id"] for one in await told(at)] == ["A", "B", "C"]


# -- webhooks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times_refused", [(8, 8), (0, 8), (8, 0)])
@pytest.mark.parametrize("first", [[BY_LID], [BY_PHONE], [BY_LID, BY_PHONE], [BY_PHONE, BY_LID]])
async def test_what_was_refused_comes_before_what_is_told_by_another_name(
    tmp_path: Path, first: list[Party], times_refused: tuple[int, int]
):
    async with hooked(tmp_path, replace(FAST, webhook_schedule=(0.02,) * 20)) as (at, hook, endpoint):
        refused = {f"A{number}": times for number, times in enumerate(times_refused)}

        def answer(body: dict) -> int:
            name = body["data"]["id"]
            refused[name] = refused.get(name, 0) - 1
            return 500 if refused[name] >= 0 else 200

        hook.answer = answer
        for number, chat in enumerate(first):
            await at.tell("bot", text(f"A{number}", chat=chat))
        await hook.until(lambda: len(hook.got) >= len(first))
        await at.tell("bot", text("B", chat=BOTH))
        await at.tell("bot", text("C", chat=first[0]))
        await until(at, endpoint, *["delivered"] * (len(first) + 2))
        taken = [body["data"]["id"] for body in hook.taken]
        assert sorted(taken[:-2]) == [f"A{number}" for number in range(len(first))]
        assert taken[-2:] == ["B", "C"]


async def test_two_lanes_under_way_become_one_without_loss_or_repetition(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        going = asyncio.Event()

        async def answer(body: dict) -> int:
            await going.wait()
            return 200

        hook.answer = answer
        await at.tell("bot", text("A", chat=BY_LID))
        await at.tell("bot", text("B", chat=BY_PHONE))
        await at.tell("bot", text("X", chat=GROUP))
        await hook.until(lambda: hook.at_once == 3)
        await at.tell("bot", text("C", chat=BOTH))
        await at.tell("bot", text("D", chat=BY_PHONE))
        going.set()
        await until(at, endpoint, *["delivered"] * 5)
        assert sorted(body["data"]["id"] for body in hook.taken[:3]) == ["A", "B", "X"]
        assert [body["data"]["id"] for body in hook.taken[3:]] == ["C", "D"]
        assert len(hook.got) == 5


async def test_an_unreachable_endpoint_does_not_start_over_and_over_when_two_persons_are_one(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        await at.core.endpoints.update(endpoint, url="http://127.0.0.1:9/hook")
        await at.tell("bot", text("A", chat=BY_LID))
        await at.tell("bot", text("B", chat=BY_PHONE))
        dispatcher = at.core.delivery_log._dispatch

        async def unreachable() -> bool:
            return (await at.core.endpoints.get(endpoint)).unreachable_since is not None

        await eventually(unreachable)
        await at.tell("bot", text("C", chat=BOTH))
        await eventually(lambda: (worker := dispatcher._dispatch.get(endpoint)) and len(worker._lanes) == 1)
        worker = dispatcher._dispatch[endpoint]
        assert not worker.again
        await at.core.endpoints.update(endpoint, url=hook.url)
        await until(at, endpoint, *["delivered"] * 3)
        assert [body["data"]["id"] for body in hook.taken] == ["A", "B", "C"]


async def test_an_event_from_before_there_were_ids_stays_before_what_comes_now(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        await at.core.endpoints.pause(endpoint)
        await at.tell("bot", text("A", chat=BOTH))
        [event] = await at.events("message.received")
        # As a version without persons stored it: what failed, in a lane called by the phone number.
        what = (event.seq, event.id, event.type.value, "bot", f"bot/{PHONE}", event.timestamp)
        old = DeliveryRecord(*what, DeliveryState.PENDING, since=times.now())
        await at.database.write(lambda transaction: transaction.delivery_queue.store(endpoint, [old]))
        hook.answer = lambda body: 500 if body["data"]["id"] == "A" and len(hook.got) < 4 else 200
        await at.tell("bot", text("B", chat=BY_LID))
        await at.core.endpoints.resume(endpoint)
        await until(at, endpoint, "delivered", "delivered")
        assert [body["data"]["id"] for body in hook.taken] == ["A", "B"]


async def test_deliveries_are_found_by_any_name_of_the_chat(tmp_path: Path):
    async with hooked(tmp_path, PATIENT) as (at, hook, endpoint):
        await at.tell("bot", text("A", chat=BY_LID))
        await at.tell("bot", text("B", chat=BY_PHONE))
        ids = {data["chat"]["id"] for data in await told(at)}
        assert len(ids) == 2
        await at.tell("bot", text("C", chat=BOTH))
        await at.tell("bot", text("X", chat=GROUP))
        await until(at, endpoint, *["delivered"] * 4)
        for name in (*ids, LID, JID, PHONE):
            found = await listed(at, endpoint, chat=name)
            assert [one.seq for one in found] == sorted((one.seq for one in found), reverse=True)
            assert (len(found), {one.chat for one in found}) == (3, {PHONE}), name
            assert len(await listed(at, endpoint, chat=name, event=found[0].event)) == 1
        assert [one.chat for one in await listed(at, endpoint, chat=GROUP.jid)] == [GROUP.jid]
        assert await listed(at, endpoint, chat="prs_" + 24 * "0") == []
        hook.got.clear()
        assert (await at.core.delivery_log.replay(endpoint, chat=LID)).count == 3
        await hook.until(lambda: len(hook.got) == 3)
        assert [body["data"]["id"] for body in hook.got] == ["A", "B", "C"], "a replay of one chat is in order"


# -- sending ----------------------------------------------------------------------------------------------------------


async def test_messages_to_one_person_by_two_addresses_go_out_in_the_order_of_their_acceptance(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.tell("bot", text("A", chat=BOTH))
        going = asyncio.Event()

        async def answer(message: Outgoing) -> None:
            assert at.transports["bot"].at_once == 1, "two at once to one person"
            await going.wait()

        at.transports["bot"].answer = answer
        sent = [await say(at, f"{number}", [PHONE, LID, JID][number % 3]) for number in range(7)]
        await eventually(lambda: at.transports["bot"].at_once == 1)
        assert {(await at.core.outbox.get("bot", one.id)).state for one in sent[1:]} == {MessageState.QUEUED}
        going.set()
        for one in sent:
            assert (await end(at, one)).state is MessageState.SENT
        assert [message.content.text for message in at.transports["bot"].sent] == [str(n) for n in range(7)]


async def test_what_waits_under_two_addresses_is_in_one_order_once_they_are_known_to_be_one_person(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(FAST, send_again=0.1)) as at:
        await connected(at)
        going = asyncio.Event()

        async def answer(message: Outgoing) -> None:
            await going.wait()

        at.transports["bot"].answer = answer
        sent = [await say(at, f"{number}", [PHONE, LID][number % 2]) for number in range(6)]
        await eventually(lambda: at.transports["bot"].at_once == 2)  # nobody knows yet
        await at.tell("bot", text("A", chat=BOTH))
        going.set()
        for one in sent:
            assert (await end(at, one)).state is MessageState.SENT
        order = [message.content.text for message in at.transports["bot"].sent]
        assert (sorted(order[:2]), order[2:]) == (["0", "1"], ["2", "3", "4", "5"])


async def test_a_number_that_whatsapp_writes_otherwise_is_the_account_it_goes_to(tmp_path: Path):
    typed, account = "+5584991234567", Party("444@lid", "+558491234567", "444@lid")
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        at.transports["bot"].answer = lambda message: Sent("WA", times.now(), account)
        first = await end(at, await say(at, "hello", typed))
        await at.tell("bot", text("A", chat=Party(account.lid or "", None, account.lid)))
        [data] = await told(at)
        assert data["chat"] == {"id": first.to.id, "jid": "444@lid", "phone": "+558491234567", "lid": "444@lid"}
        assert (await say(at, "again", typed)).to == (await say(at, "and again", "444@lid")).to
        assert (await at.core.outbox.get("bot", first.id)).to.id == first.to.id


async def test_a_key_is_for_the_address_as_it_was_given(tmp_path: Path):
    """Who has an address may become known in between; a repetition gets the same answer all the same."""
    async with receiver() as _, world(tmp_path / "db", linked=True) as at:
        await connected(at)
        first = await say(at, "hello", PHONE, key="k")
        await at.tell("bot", text("A", chat=BOTH))
        assert (await say(at, "hello", JID, key="k")).id == first.id
        assert (await say(at, "hello", "+49 (151) 2345 6789", key="k")).id == first.id
