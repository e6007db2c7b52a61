"""Deliveries to a real HTTP server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.core.receiver import receiver
from tests.core.scripted import QUICK, World, eventually, text, world
from zapwire.model.bots import BotState
from zapwire.model.errors import InvalidInput, NotFound
from zapwire.model.messages import Party

FAST = replace(QUICK, webhook_schedule=(0.02, 0.02, 0.02, 0.02), webhook_probe_first=0.01, webhook_probe_most=0.05)


def person(number: int) -> Party:
    return Party(f"80000000000{number:02}@lid", f"+49151234567{number:02}", f"80000000000{number:02}@lid")


def bodies(deliveries: list[dict], chat: int) -> list[str]:
    return [one["data"]["text"] for one in deliveries if one["data"]["chat"]["phone"] == person(chat).phone]


async def connected(at: World) -> None:
    await at.core.bots.create("bot")
    await at.until("bot", BotState.CONNECTED)


async def healthy(at: World, endpoint: str) -> bool:
    return (await at.core.endpoints.get(endpoint)).failing_since is None


async def failing(at: World, endpoint: str) -> bool:
    return (await at.core.endpoints.get(endpoint)).last_error is not None


async def disabled(at: World, endpoint: str) -> bool:
    return not (await at.core.endpoints.get(endpoint)).enabled


async def passed(at: World, endpoint: str, seq: int) -> bool:
    return (await at.core.endpoints.get(endpoint)).cursor >= seq


async def test_an_event_arrives_signed_and_as_it_is_in_the_journal(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True) as at:
        await connected(at)
        _, secret = await at.core.endpoints.create(hook.url, events=["message.received"])
        await at.tell("bot", text("A", "grüße"))
        await hook.until(lambda: len(hook.taken) == 1)
        [event] = await at.events("message.received")
        [body], [headers] = hook.taken, hook.headers
        assert Webhook(secret).verify(hook.raw[0], headers) == body
        assert headers["webhook-id"] == body["id"] == event.id
        assert body["seq"] == event.seq
        assert list(body) == ["id", "seq", "type", "timestamp", "bot", "data"]
        assert body["data"] == event.data
        assert body["data"]["text"] == "grüße"
        with pytest.raises(Exception, match="signature"):
            Webhook(secret).verify(hook.raw[0].replace("gr", "Gr"), headers)


async def test_an_endpoint_gets_only_what_it_asked_for_and_nothing_from_before(tmp_path: Path):
    async with receiver() as hook, receiver() as family, world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.core.bots.create("other")
        await at.until("other", BotState.CONNECTED)
        await at.tell("bot", text("before"))
        await at.core.endpoints.create(hook.url, events=["message.received"], bots=["other"])
        await at.core.endpoints.create(family.url, events=["message.*"])
        await at.tell("bot", text("A", "not for hook"))
        await at.core.bots.get("other").change(name="Other")
        await at.tell("other", text("B", "for both"))
        await hook.until(lambda: len(hook.taken) == 1)
        await family.until(lambda: len(family.taken) == 2)
        assert [one["data"]["id"] for one in hook.got] == ["B"]
        assert {one["data"]["id"] for one in family.got} == {"A", "B"}


async def test_a_refused_event_is_tried_again_in_order_while_other_chats_go_on(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        refusals = 3

        def answer(body: dict) -> int:
            nonlocal refusals
            if body["data"]["chat"]["phone"] == person(1).phone and refusals > 0:
                refusals -= 1
                return 500
            return 200

        hook.answer = answer
        await at.core.endpoints.create(hook.url, events=["message.received"])
        for number in range(4):
            await at.tell("bot", text(f"A{number}", f"a{number}", chat=person(1)))
            await at.tell("bot", text(f"B{number}", f"b{number}", chat=person(2)))
        await hook.until(lambda: len(hook.taken) == 8)
        assert bodies(hook.taken, 1) == ["a0", "a1", "a2", "a3"]
        assert bodies(hook.taken, 2) == ["b0", "b1", "b2", "b3"]
        ids = [one["id"] for one in hook.got if one["data"]["text"] == "a0"]
        assert len(ids) == 4
        assert len(set(ids)) == 1


async def test_what_is_never_taken_becomes_a_dead_letter_and_the_chat_goes_on(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        hook.answer = lambda body: 500 if body["data"]["text"] == "poison" else 200
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        await at.tell("bot", text("A", "poison"))
        await at.tell("bot", text("B", "after"))
        await hook.until(lambda: len(hook.taken) == 1)
        assert hook.taken[0]["data"]["text"] == "after"
        assert len([one for one in hook.got if one["data"]["text"] == "poison"]) == 5
        [dead] = (await at.core.delivery_log.page(endpoint.id, state="dead")).deliveries
        assert [(one.status, one.error) for one in dead.attempts] == [(500, "it answered 500")] * 5
        look = await at.core.delivery_log.look(endpoint.id, dead.event)
        assert look.body is not None
        assert look.body.data["text"] == "poison"
        await eventually(lambda: healthy(at, endpoint.id))


async def test_deliveries_survive_a_restart_without_loss_or_disorder(tmp_path: Path):
    slow = replace(FAST, webhook_schedule=(3600.0,))
    async with receiver() as hook:
        hook.answer = lambda body: 503
        async with world(tmp_path / "db", linked=True, limits=slow) as at:
            await connected(at)
            endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
            for number in range(5):
                await at.tell("bot", text(f"A{number}", f"a{number}", chat=person(1)))
            await hook.until(lambda: len(hook.got) == 1)
        hook.answer = lambda body: 200
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await at.database.write(
                lambda transaction: transaction.sql.execute("UPDATE deliveries SET due = 0 WHERE due IS NOT NULL")
            )
            await at.core.endpoints.update(endpoint.id, enabled=True)  # looks again
            await at.tell("bot", text("A5", "a5", chat=person(1)))
            await hook.until(lambda: len({one["id"] for one in hook.taken}) == 6)
            once = {one["id"]: one for one in hook.taken}  # a repetition is allowed, as deliveries were restarted
            assert bodies(list(once.values()), 1) == [f"a{number}" for number in range(6)]


async def test_a_crash_repeats_at_most_what_the_cursor_had_not_passed(tmp_path: Path):
    lazy = replace(FAST, cursor_saved=3600.0)
    async with receiver() as hook:
        async with world(tmp_path / "db", linked=True, limits=lazy) as at:
            await connected(at)
            endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
            for number in range(3):
                await at.tell("bot", text(f"A{number}", f"a{number}"))
            await hook.until(lambda: len(hook.taken) == 3)
            stored = await at.core.endpoints.get(endpoint.id)
            # As after kill -9: neither the cursor of this run nor its records are written.
            for statement in (
                "CREATE TRIGGER lost BEFORE UPDATE OF cursor ON endpoints BEGIN SELECT RAISE(IGNORE); END",
                "CREATE TRIGGER lost_too BEFORE INSERT ON deliveries BEGIN SELECT RAISE(IGNORE); END",
            ):
                await at.database.write(lambda transaction, sql=statement: transaction.sql.execute(sql))
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            assert (await at.core.endpoints.get(endpoint.id)).cursor == stored.cursor
            await hook.until(lambda: len(hook.taken) == 6)
            assert [one["id"] for one in hook.taken[:3]] == [one["id"] for one in hook.taken[3:]]


async def test_the_stored_cursor_reaches_the_end_also_past_events_of_others(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True) as at:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        await at.tell("bot", text("A"))
        await hook.until(lambda: len(hook.taken) == 1)
        await at.core.bots.get("bot").change(name="renamed")
        last = await at.core.subscriptions.last_seq()
        await eventually(lambda: passed(at, endpoint.id, last))


async def test_many_chats_are_delivered_side_by_side_but_each_in_order(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=QUICK) as at:
        await connected(at)

        async def answer(body: dict) -> int:
            await asyncio.sleep(0.005)
            return 200

        hook.answer = answer
        await at.core.endpoints.create(hook.url, events=["message.received"], concurrency=4)
        async with asyncio.TaskGroup() as group:
            for chat in range(8):
                group.create_task(burst(at, chat, 10))
        await hook.until(lambda: len(hook.taken) == 80)
        for chat in range(8):
            assert bodies(hook.taken, chat) == [f"{chat}-{number}" for number in range(10)]
        assert 2 <= hook.most_at_once <= 4


async def burst(at: World, chat: int, count: int) -> None:
    for number in range(count):
        await at.tell("bot", text(f"{chat}-{number}", f"{chat}-{number}", chat=person(chat)))


async def test_a_full_window_stops_reading_and_loses_nothing(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=replace(QUICK, webhook_window=2)) as at:
        await connected(at)
        go = asyncio.Event()

        async def answer(body: dict) -> int:
            await go.wait()
            return 200

        hook.answer = answer
        await at.core.endpoints.create(hook.url, events=["message.received"])
        for chat in range(10):
            await at.tell("bot", text(f"{chat}", f"{chat}", chat=person(chat)))
        await hook.until(lambda: len(hook.got) == 2)
        assert hook.at_once == 2
        go.set()
        await hook.until(lambda: len(hook.taken) == 10)


async def test_410_disables_the_endpoint_and_a_redirect_is_not_followed(tmp_path: Path):
    async with receiver() as hook, receiver() as elsewhere, world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        hook.answer = lambda body: web.Response(status=307, headers={"Location": elsewhere.url})
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
        await at.tell("bot", text("A"))
        await hook.until(lambda: len(hook.got) == 2)
        hook.answer = lambda body: 410
        await eventually(lambda: disabled(at, endpoint.id))
        count = len(hook.got)
        await at.tell("bot", text("B", chat=person(3)))
        hook.answer = lambda body: 200
        await at.core.endpoints.update(endpoint.id, enabled=True)
        await hook.until(lambda: len(hook.taken) == 2)
        assert len(hook.got) == count + 2
        assert elsewhere.got == []


async def test_an_endpoint_that_is_not_there_yet_gets_everything_later(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(FAST, webhook_schedule=(0.05,) * 200)) as at:
        await connected(at)
        async with receiver() as hook:
            url = hook.url
        endpoint, _ = await at.core.endpoints.create(url, events=["message.received"])
        await at.tell("bot", text("A"))
        await eventually(lambda: failing(at, endpoint.id))
        async with receiver(int(url.split(":")[2].split("/")[0])) as hook:
            await hook.until(lambda: len(hook.taken) == 1)


async def test_endpoints_are_checked_listed_and_deleted(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True) as at:
        await connected(at)
        for url in ("ftp://127.0.0.1/", "http://", "/hook", "http://127.0.0.1:99999/", "http://[", "http://a b/"):
            with pytest.raises(InvalidInput) as caught:
                await at.core.endpoints.create(url)
            assert caught.value.field == "url"
        for events in ([], ["message"], ["nonsense.*"]):
            with pytest.raises(InvalidInput):
                await at.core.endpoints.create(hook.url, events=events)
        endpoint, _ = await at.core.endpoints.create(hook.url)
        assert [one.id for one in await at.core.endpoints.list()] == [endpoint.id]
        changed = await at.core.endpoints.update(endpoint.id, events=["bot.*"], bots=["x"])
        assert (changed.events, changed.bots) == (("bot.*",), ("x",))
        assert (await at.core.endpoints.update(endpoint.id, bots=None)).bots is None
        await at.core.endpoints.delete(endpoint.id)
        with pytest.raises(NotFound):
            await at.core.endpoints.get(endpoint.id)
        with pytest.raises(NotFound):
            await at.core.endpoints.update(endpoint.id, enabled=False)
        await at.tell("bot", text("A"))
        assert await at.database.read(lambda unit: unit.journal.last_seq()) == (await at.events())[-1].seq
        assert hook.got == []


async def test_a_stuck_chat_in_which_something_always_comes_is_delivered_all_the_same(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        await at.core.endpoints.create(hook.url, events=["message.received"])
        hook.answer = lambda body: 500 if len(hook.got) < 2 else 200
        came = 0
        while not hook.taken and came < 1500:
            await at.tell("bot", text(f"A{came}"))
            came += 1
        assert hook.taken, "as long as messages came none was delivered"
