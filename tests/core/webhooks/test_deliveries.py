"""What was delivered can be looked at and had again; an endpoint pauses, is disabled, comes back, and may answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.core.receiver import Receiver, receiver
from tests.core.scripted import PHONE, QUICK, Failing, World, eventually, text, world
from tests.core.webhooks.test_endpoints import connected, disabled, failing, person
from zapwire.core.webhooks import dispatcher
from zapwire.core.webhooks.dispatcher import Dispatcher
from zapwire.model import timestamps
from zapwire.model.bots import BotState
from zapwire.model.content.text import TextContent
from zapwire.model.deliveries import Delivery
from zapwire.model.errors import Conflict, InvalidInput, NotFound, StoreError
from zapwire.store.sqlite.repositories import journal

FAST = replace(
    QUICK, webhook_schedule=(0.02,) * 4, webhook_absence=0.0, webhook_probe_first=0.01, webhook_probe_most=0.05
)
HINT = ": give it with country code, like +4915123456789"
PATIENT = replace(FAST, webhook_schedule=(3600.0,))


@asynccontextmanager
async def hooked(folder: Path, limits: Any = FAST, **options: Any) -> AsyncIterator[tuple[World, Receiver, str]]:
    """A connected bot and one endpoint for its messages."""
    async with receiver() as hook, world(folder / "db", linked=True, limits=limits) as at:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"], **options)
        yield at, hook, endpoint.id


async def listed(at: World, endpoint: str, **wanted: Any) -> list[Delivery]:
    return (await at.core.delivery_log.page(endpoint, **wanted)).deliveries


async def states(at: World, endpoint: str) -> list[str]:
    return [one.state.value for one in reversed(await listed(at, endpoint))]


async def until(at: World, endpoint: str, *wanted: str) -> None:
    async def so() -> bool:
        return await states(at, endpoint) == list(wanted)

    await eventually(so)


# -- looking ------------------------------------------------------------------------------------------------------


async def test_every_delivery_is_recorded_with_its_attempts_and_the_last_answer(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        answers = iter([web.Response(status=500, text="oh no"), web.Response(status=200, text="grüße\0")])
        hook.answer = lambda body: next(answers)
        await at.tell("bot", text("A"))
        await until(at, endpoint, "delivered")
        [event], [one] = await at.events("message.received"), await listed(at, endpoint)
        assert (one.event, one.seq, one.type, one.bot, one.chat) == (
            event.id,
            event.seq,
            "message.received",
            "bot",
            PHONE,
        )
        assert (one.happened, one.due, one.answer) == (event.timestamp, None, "grüße\0")
        assert [(a.status, a.error) for a in one.attempts] == [(500, "it answered 500"), (200, None)]
        assert event.timestamp <= one.attempts[0].at <= one.attempts[1].at <= timestamps.now()
        look = await at.core.delivery_log.look(endpoint, event.id)
        assert (look.delivery, look.body) == (one, event)
        assert len({sent["webhook-id"] for sent in hook.headers}) == 1
        for missing in ("evt_none", ""):
            with pytest.raises(NotFound):
                await at.core.delivery_log.look(endpoint, missing)


async def test_deliveries_are_filtered_and_paged(tmp_path: Path):
    async with hooked(tmp_path, PATIENT) as (at, hook, endpoint):
        hook.answer = lambda body: 500 if body["data"]["text"] == "bad" else 200
        for number in range(3):
            await at.tell("bot", text(f"A{number}", "good", chat=person(1)))
        for number in range(3):
            await at.tell("bot", text(f"B{number}", "bad", chat=person(2)))
        await until(at, endpoint, *["delivered"] * 3, "failed", "pending", "pending")
        everything = await listed(at, endpoint)
        assert [one.seq for one in everything] == sorted((one.seq for one in everything), reverse=True)
        page = await at.core.delivery_log.page(endpoint, limit=4)
        rest = await at.core.delivery_log.page(endpoint, limit=4, after=page.next_after)
        assert ([*page.deliveries, *rest.deliveries], rest.next_after) == (everything, None)
        assert len(await listed(at, endpoint, state="pending")) == 2
        assert [one.chat for one in await listed(at, endpoint, state="failed")] == [person(2).phone]
        for name in (person(1).phone, person(1).lid, "4915123456701@s.whatsapp.net"):
            assert len(await listed(at, endpoint, chat=name)) == 3, name
        assert await listed(at, endpoint, chat=person(1).phone, state="failed") == []
        [one] = await listed(at, endpoint, event=everything[0].event)
        assert one == everything[0]
        assert await listed(at, endpoint, event=everything[0].event, state="dead") == []
        assert await listed(at, endpoint, event="evt_none") == []
        for field, wrong in (("state", "x"), ("chat", "x"), ("limit", 0), ("limit", 101)):
            with pytest.raises(InvalidInput) as caught:
                await at.core.delivery_log.page(endpoint, **{field: wrong})
            assert caught.value.field == field
        with pytest.raises(NotFound):
            await at.core.delivery_log.page("whk_none")


async def test_successful_deliveries_share_one_write_with_the_cursor(tmp_path: Path):
    async with hooked(tmp_path, replace(FAST, cursor_saved=3600.0)) as (at, _, endpoint):
        writes = Failing(at.database)
        count = 0

        async def counted(work: Any) -> Any:
            nonlocal count
            count += 1
            return await writes._write(work)

        for number in range(20):
            await at.tell("bot", text(f"A{number}", chat=person(number)))
        await eventually(lambda: at.core.delivery_log._dispatch.pending == 0)
        at.database.write = counted  # type: ignore[method-assign]
        assert len(await listed(at, endpoint)) == 20
        assert count == 1
        assert (await at.core.endpoints.get(endpoint)).cursor == (await at.events())[-1].seq


# -- once more ----------------------------------------------------------------------------------------------------


async def test_one_event_is_replayed_with_its_id_and_nothing_new_waits_for_it(tmp_path: Path):
    async with hooked(tmp_path, PATIENT) as (at, hook, endpoint):
        for number in range(3):
            await at.tell("bot", text(f"A{number}"))
        await hook.until(lambda: len(hook.taken) == 3)
        event = hook.taken[1]
        hook.answer = lambda body: 500 if body["id"] == event["id"] else 200
        assert (await at.core.delivery_log.replay_one(endpoint, event["id"])).count == 1
        await until(at, endpoint, "delivered", "failed", "delivered")
        await at.tell("bot", text("A3"))
        await hook.until(lambda: len(hook.taken) == 4)
        hook.answer = lambda body: 200
        await at.core.delivery_log.replay_one(endpoint, event["id"])  # it waits: now it does not
        await until(at, endpoint, *["delivered"] * 4)
        assert [one["data"]["id"] for one in hook.taken] == ["A0", "A1", "A2", "A3", "A1"]
        assert hook.taken[1] == hook.taken[4]
        assert [headers["webhook-id"] for headers in hook.headers].count(event["id"]) == 3
        [one] = await listed(at, endpoint, event=event["id"])
        assert [a.status for a in one.attempts] == [200, 500, 200]
        with pytest.raises(NotFound):
            await at.core.delivery_log.replay_one(endpoint, "evt_none")


async def test_an_event_from_before_the_endpoint_can_be_had_too(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.tell("bot", text("before"))
        endpoint, _ = await at.core.endpoints.create(hook.url)
        [event] = await at.events("message.received")
        await at.core.delivery_log.replay_one(endpoint.id, event.id)
        await hook.until(lambda: len(hook.taken) == 1)
        assert hook.taken[0]["id"] == event.id
        await until(at, endpoint.id, "delivered")


async def test_replays_by_time_by_chat_and_of_all_that_died(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        hook.answer = lambda body: 500 if body["data"]["text"] == "poison" else 200
        for number in range(3):
            await at.tell("bot", text(f"A{number}", chat=person(1)))
            await at.tell("bot", text(f"B{number}", "poison", chat=person(2)))
        await until(at, endpoint, *["delivered", "dead"] * 3)
        events = await at.events("message.received")
        replay = at.core.delivery_log.replay
        hook.answer = lambda body: 200
        hook.taken.clear()

        async def taken(*ids: str) -> None:
            await hook.until(lambda: len(hook.taken) == len(ids))
            assert sorted(one["data"]["id"] for one in hook.taken) == sorted(ids)
            hook.taken.clear()
            await until(at, endpoint, *["delivered", "dead"] * 3)

        assert (await replay(endpoint, chat=person(1).phone)).count == 3
        await taken("A0", "A1", "A2")
        await at.database.write(lambda t: t.sql.execute("UPDATE deliveries SET happened = seq * 1000"))
        since, before = (timestamps.from_ms(event.seq * 1000) for event in (events[2], events[3]))
        assert (await replay(endpoint, since=since, until=before)).count == 1
        await taken("A1")
        assert (await replay(endpoint, dead=True, since=since)).count == 2
        await until(at, endpoint, "delivered", "dead", *["delivered"] * 4)
        assert (await replay(endpoint, dead=True)).count == 1
        await until(at, endpoint, *["delivered"] * 6)
        assert [one["data"]["id"] for one in hook.taken] == ["B1", "B2", "B0"]
        assert (await replay(endpoint, dead=True)).count == 0
        later = timestamps.now() + timedelta(hours=1)
        assert (await replay(endpoint, since=later)).count == 0
        for wrong in ({"since": later, "until": later}, {"chat": "x"}):
            with pytest.raises(InvalidInput):
                await replay(endpoint, **wrong)
        with pytest.raises(NotFound):
            await replay("whk_none")


@pytest.mark.parametrize("scanned", [3, 20_000])
async def test_a_large_replay_goes_in_parts_that_follow_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scanned: int
):
    monkeypatch.setattr(journal, "SCANNED", scanned)
    async with hooked(tmp_path, replace(FAST, replayed_at_once=4)) as (at, hook, endpoint):
        for number in range(10):
            await at.tell("bot", text(f"A{number}"))
        await hook.until(lambda: len(hook.taken) == 10)
        hook.taken.clear()
        counts, after = [], 0
        while after is not None:
            queued = await at.core.delivery_log.replay(endpoint, chat=PHONE, after=after)
            counts.append(queued.count)
            after = queued.next_after
        assert counts == [4, 4, 2]
        await hook.until(lambda: len(hook.taken) == 10)
        assert [one["data"]["id"] for one in hook.taken] == [f"A{number}" for number in range(10)]
        both = await asyncio.gather(
            at.core.delivery_log.replay(endpoint), at.core.delivery_log.replay(endpoint), return_exceptions=True
        )
        assert sorted(type(one).__name__ for one in both) == ["Conflict", "QueuedReplays"]
        assert any(isinstance(one, Conflict) for one in both)


async def test_a_dead_letter_is_replayed_though_the_journal_has_forgotten_it(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        hook.answer = lambda body: 500
        await at.tell("bot", text("A", "poison"))
        await until(at, endpoint, "dead")
        [dead] = await listed(at, endpoint, state="dead")
        await at.database.write(lambda t: t.sql.execute("DELETE FROM journal"))
        look = await at.core.delivery_log.look(endpoint, dead.event)
        assert isinstance(look.body, str)
        hook.answer = lambda body: 200
        await at.core.delivery_log.replay_one(endpoint, dead.event)
        await until(at, endpoint, "delivered")
        assert (hook.taken[0]["id"], hook.taken[0]["data"]["text"]) == (dead.event, "poison")
        with pytest.raises(NotFound):
            await at.core.delivery_log.look(endpoint, dead.event)  # delivered, and nothing knows it any more


async def test_a_deleted_bot_leaves_no_delivery_and_no_dead_letter(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        await at.core.bots.create("other")
        await at.until("other", BotState.CONNECTED)
        hook.answer = lambda body: 500 if body["data"]["text"] == "poison" else 200
        await at.tell("bot", text("A", "good", chat=person(1)))
        await at.tell("bot", text("B", "poison", chat=person(2)))
        await at.tell("other", text("C", "poison", chat=person(3)))
        await until(at, endpoint, "delivered", "dead", "dead")
        await at.core.bots.delete("bot")
        [left] = await listed(at, endpoint)
        assert left.bot == "other"
        figures = await at.core.stats.take()
        assert (figures.dead_letters, figures.given_up) == (1, 2)
        letters = "SELECT seq FROM dead_letters"
        assert await at.database.read(lambda sql: sql.sql.execute(letters).fetchall()) == [(left.seq,)]


async def test_queued_replays_survive_a_restart(tmp_path: Path):
    async with receiver() as hook:
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await connected(at)
            endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
            for number in range(5):
                await at.tell("bot", text(f"A{number}"))
            await hook.until(lambda: len(hook.taken) == 5)
            await at.core.endpoints.pause(endpoint.id)
            assert (await at.core.delivery_log.replay(endpoint.id)).count == 5
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            assert len(hook.taken) == 5
            await at.core.endpoints.resume(endpoint.id)
            await hook.until(lambda: len(hook.taken) == 10)
            assert hook.taken[:5] == hook.taken[5:]


# -- paused, disabled, away ---------------------------------------------------------------------------------------


async def test_a_paused_endpoint_gets_everything_later_and_does_not_fail_meanwhile(tmp_path: Path):
    async with hooked(tmp_path, replace(FAST, webhook_schedule=(0.02,) * 100)) as (at, hook, endpoint):
        hook.answer = lambda body: 500
        await at.tell("bot", text("A0"))
        await eventually(lambda: failing(at, endpoint))
        paused = await at.core.endpoints.pause(endpoint)
        assert (paused.paused, paused.enabled) == (True, True)
        await eventually(lambda: endpoint not in at.core.delivery_log._dispatch._dispatch)
        count = len(hook.got)
        for number in range(1, 5):
            await at.tell("bot", text(f"A{number}"))
        for column in ("endpoints SET failing_since = failing_since", "deliveries SET since = since"):
            query = f"UPDATE {column} - ?"  # six days pass
            await at.database.write(lambda t, sql=query: t.sql.execute(sql, (6 * 86_400_000,)))
        assert len(hook.got) == count
        resumed = await at.core.endpoints.resume(endpoint)
        assert (resumed.paused, resumed.enabled, resumed.failing_since) == (False, True, None)
        await hook.until(lambda: len(hook.got) >= count + 3)  # neither disabled nor given up at once
        hook.answer = lambda body: 200
        await hook.until(lambda: len(hook.taken) == 5)
        assert [one["data"]["id"] for one in hook.taken] == [f"A{number}" for number in range(5)]


async def test_one_that_fails_for_days_is_disabled_and_the_others_hear_of_it(tmp_path: Path):
    lasting = replace(FAST, webhook_schedule=(0.02,) * 1000, webhook_failing=0.3)
    async with receiver() as other, hooked(tmp_path, lasting, description="shop") as (at, hook, endpoint):
        hook.answer = lambda body: 503
        await at.core.endpoints.create(other.url, events=["webhook.*"], bots=["bot"])
        await at.tell("bot", text("A"))
        await other.until(lambda: len(other.taken) == 1)
        found = await at.core.endpoints.get(endpoint)
        assert (found.enabled, found.disabled_reason) == (False, "it has taken nothing for too long")
        [told], [journaled] = other.taken, await at.events("webhook.disabled")
        assert (told["bot"], told["id"], journaled.bot) == (None, journaled.id, "")
        assert told["data"] == {
            "webhook": endpoint,
            "description": "shop",
            "reason": "it has taken nothing for too long",
            "failing_since": told["data"]["failing_since"],
            "last_error": "it answered 503",
        }
        assert "http" not in str(told)
        hook.answer = lambda body: 200
        again = await at.core.endpoints.update(endpoint, enabled=True)
        assert (again.enabled, again.disabled_reason, again.failing_since) == (True, None, None)
        await until(at, endpoint, "delivered")


async def test_one_that_is_gone_is_disabled_and_not_told_so_itself(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(hook.url)
        hook.answer = lambda body: 410
        await at.tell("bot", text("A"))
        await eventually(lambda: disabled(at, endpoint.id))
        assert (await at.core.endpoints.get(endpoint.id)).disabled_reason == "it answered 410 Gone"
        [_] = await at.events("webhook.disabled")
        hook.answer = lambda body: 200
        await at.core.endpoints.update(endpoint.id, enabled=True)
        await at.core.bots.get("bot").change(name="renamed")
        wanted = {"A", "renamed"}  # the one that was refused, and one that came after the news
        await hook.until(lambda: wanted <= {one["data"].get("name", one["data"]["id"]) for one in hook.taken})
        assert {one["type"] for one in hook.taken} == {"bot.state", "message.received"}


async def test_a_change_while_an_endpoint_is_looked_up_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain, looking, go = Dispatcher._look_up, asyncio.Event(), asyncio.Event()

    async def slow(self: Dispatcher, endpoint: str) -> Any:
        found = await plain(self, endpoint)
        looking.set()
        await go.wait()
        return found

    monkeypatch.setattr(Dispatcher, "_look_up", slow)
    async with receiver() as old, receiver() as new, world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        endpoint, _ = await at.core.endpoints.create(old.url, events=["message.received"])
        await looking.wait()
        await at.core.endpoints.update(endpoint.id, url=new.url)
        go.set()
        await at.tell("bot", text("A"))
        await new.until(lambda: len(new.taken) == 1)
        assert old.got == []


@pytest.mark.timeout(30)
async def test_a_stop_while_an_endpoint_is_looked_up_waits_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    plain, looking = Dispatcher._look_up, asyncio.Event()

    async def slow(self: Dispatcher, endpoint: str) -> Any:
        found = await plain(self, endpoint)
        looking.set()
        while not self._stopping:  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)
        return found

    monkeypatch.setattr(Dispatcher, "_look_up", slow)
    async with world(tmp_path / "db", limits=replace(FAST, webhook_drain=600.0)) as at:
        await at.core.endpoints.create("http://127.0.0.1:9/hook")
        await looking.wait()


async def test_switched_off_by_hand_it_says_so_and_tells_nobody(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        assert (await at.core.endpoints.update(endpoint, enabled=False)).disabled_reason == "switched off by hand"
        assert await at.events("webhook.disabled") == []
        await at.tell("bot", text("A"))
        assert (await at.core.endpoints.update(endpoint, enabled=True)).disabled_reason is None
        await hook.until(lambda: len(hook.taken) == 1)
        off, _ = await at.core.endpoints.create(hook.url, enabled=False)
        assert (off.enabled, off.disabled_reason) == (False, "switched off by hand")


async def test_a_receiver_that_was_away_gets_everything_at_once_when_it_is_back(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=PATIENT) as at:
        await connected(at)
        async with receiver() as hook:
            url, port = hook.url, hook.port
        endpoint, _ = await at.core.endpoints.create(url, events=["message.received"])
        for number in range(12):
            await at.tell("bot", text(f"A{number}", chat=person(number % 4)))
        await eventually(lambda: failing(at, endpoint.id))
        async with receiver(port) as hook:
            await at.tell(
                "bot", text("back", chat=person(9))
            )  # its next attempts are an hour away, but this one is not
            await hook.until(lambda: len(hook.taken) == 13)
            for chat in range(4):
                ids = [one["data"]["id"] for one in hook.taken if one["data"]["chat"]["phone"] == person(chat).phone]
                assert ids == [f"A{number}" for number in range(chat, 12, 4)]
            await until(at, endpoint.id, *["delivered"] * 13)


async def test_one_event_that_is_never_taken_is_not_hurried_by_the_others(tmp_path: Path):
    async with hooked(tmp_path, PATIENT) as (at, hook, endpoint):
        hook.answer = lambda body: 500 if body["data"]["text"] == "poison" else 200
        await at.tell("bot", text("P", "poison", chat=person(1)))
        await until(at, endpoint, "failed")
        for number in range(10):
            await at.tell("bot", text(f"A{number}", chat=person(2)))
        await hook.until(lambda: len(hook.taken) == 10)
        assert [one["data"]["text"] for one in hook.got].count("poison") == 1


async def test_while_it_is_away_the_journal_is_the_queue(tmp_path: Path):
    limits = replace(PATIENT, webhook_streak=5, webhook_probe_most=0.2)
    async with hooked(tmp_path, limits) as (at, hook, endpoint):
        hook.answer = lambda body: 503
        for number in range(60):
            await at.tell("bot", text(f"A{number}", chat=person(number)))
        await hook.until(lambda: len(hook.got) >= 5)
        rows = len(await listed(at, endpoint, limit=100))
        assert rows < 40, "what waits costs no rows"
        hook.answer = lambda body: 200
        await hook.until(lambda: len(hook.taken) == 60)
        assert len({one["id"] for one in hook.taken}) == 60


# -- testing and answering ----------------------------------------------------------------------------------------


async def test_a_test_is_signed_at_once_and_changes_nothing(tmp_path: Path):
    async with receiver() as hook, world(tmp_path / "db", limits=FAST) as at:
        endpoint, secret = await at.core.endpoints.create(hook.url, headers={"X-Key": "s3cret"}, enabled=False)
        hook.answer = lambda body: web.Response(status=500, text="no " * 5000)
        event, outcome = await at.core.delivery_log.test(endpoint.id)
        [sent], [body] = hook.headers, hook.got
        assert Webhook(secret).verify(hook.raw[0], sent) == body
        assert (sent["X-Key"], sent["webhook-id"]) == ("s3cret", event)
        assert (body["type"], body["seq"], body["bot"], body["data"]) == (
            "webhook.test",
            0,
            None,
            {"webhook": endpoint.id},
        )
        assert (outcome.status, outcome.error, len(outcome.answer)) == (500, "it answered 500", 4096)
        assert await at.events() == []
        assert await listed(at, endpoint.id) == []
        assert (await at.core.endpoints.get(endpoint.id)).failing_since is None
        with pytest.raises(NotFound):
            await at.core.delivery_log.test("whk_none")


async def sent(at: World, *bodies: str) -> bool:
    return [one.content.text for one in at.transports["bot"].sent] == list(bodies)


async def test_a_receiver_answers_with_a_message_and_it_is_sent_once(tmp_path: Path):
    async with hooked(tmp_path, reply=True) as (at, hook, endpoint):
        hook.answer = lambda body: web.json_response({"reply": {"text": f"re {body['data']['text']}"}})
        await at.tell("bot", text("A", "one"))
        await eventually(lambda: sent(at, "re one"))
        [one] = await listed(at, endpoint)
        assert one.reply is not None
        assert (await at.core.outbox.get("bot", one.reply["message"])).to.phone == PHONE
        hook.answer = lambda body: web.json_response({"reply": {"text": "something else"}})
        await at.core.delivery_log.replay_one(endpoint, one.event)
        await hook.until(lambda: len(hook.taken) == 2)
        await until(at, endpoint, "delivered")

        async def refused() -> bool:
            [one] = await listed(at, endpoint)
            return one.reply == {"error": "reply.Idempotency-Key: this Idempotency-Key was used for another message"}

        await eventually(refused)
        assert await sent(at, "re one")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("ok", None),
        ("", None),
        ("[1]", None),
        ('{"status": "ok"}', None),
        ('{"reply": null}', None),
        ('{"reply": ', "the answer is not JSON"),
        ('{"reply": "hello"}', "the reply is not an object"),
        ('{"reply": {"text": 5}}', "reply.text: must be text"),
        ('{"reply": {"body": "hello"}}', "reply.body: is not a field of a message"),
        ('{"reply": {}}', "reply.text: is required"),
        (
            '{"reply": {"text": "a", "to": "x"}}',
            "reply.to: not a phone number: give it with + and its country code, like +4915123456789",
        ),
        ('{"reply": {"text": "a", "type": "poem"}}', "reply.type: this bot cannot send messages of type 'poem'"),
        ('{"reply": {"text": "' + "a" * 5000 + '"}}', "the answer is longer than 4096 bytes, or not complete"),
    ],
)
async def test_a_bad_reply_is_noted_and_no_failure(tmp_path: Path, answer: str, error: str | None):
    async with hooked(tmp_path, reply=True) as (at, hook, endpoint):
        hook.answer = lambda body: web.Response(text=answer)
        await at.tell("bot", text("A"))
        await until(at, endpoint, "delivered")
        [one] = await listed(at, endpoint)
        assert one.reply == (None if error is None else {"error": error})
        assert await sent(at)


async def test_no_reply_is_taken_unless_the_endpoint_may(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        hook.answer = lambda body: web.json_response({"reply": {"text": "hello"}})
        await at.tell("bot", text("A"))
        await until(at, endpoint, "delivered")
        assert (await listed(at, endpoint))[0].reply is None
        assert await sent(at)


async def test_a_crash_after_the_reply_repeats_the_delivery_but_not_the_reply(tmp_path: Path):
    lazy = replace(FAST, cursor_saved=3600.0)
    async with receiver() as hook:
        hook.answer = lambda body: web.json_response({"reply": {"text": "once"}})
        async with world(tmp_path / "db", linked=True, limits=lazy) as at:
            await connected(at)
            await at.core.endpoints.create(hook.url, events=["message.received"], reply=True)
            await at.tell("bot", text("A"))
            await eventually(lambda: sent(at, "once"))
            for table in ("BEFORE UPDATE OF cursor ON endpoints", "BEFORE INSERT ON deliveries"):
                statement = f"CREATE TRIGGER lost{len(table)} {table} BEGIN SELECT RAISE(IGNORE); END"
                await at.database.write(lambda t, sql=statement: t.sql.execute(sql))
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await at.until("bot", BotState.CONNECTED)
            await hook.until(lambda: len(hook.taken) == 2)
            assert len({one["id"] for one in hook.taken}) == 1
            await at.core.outbox.submit("bot", PHONE, TextContent(text="after"))
            await eventually(lambda: sent(at, "after"))


# -- secrets ------------------------------------------------------------------------------------------------------


async def test_a_rotated_secret_verifies_beside_the_old_one(tmp_path: Path):
    async with hooked(tmp_path, ed25519=True) as (at, hook, endpoint):
        before = await at.core.endpoints.get(endpoint)
        _, first = await at.core.endpoints.rotate(endpoint)
        rotated, second = await at.core.endpoints.rotate(endpoint, grace=3600)
        assert None not in {before.public_key, rotated.public_key}
        assert before.public_key != rotated.public_key
        await at.tell("bot", text("A"))
        await hook.until(lambda: len(hook.taken) == 1)
        for secret in (first, second):
            Webhook(secret).verify(hook.raw[0], hook.headers[0])
        assert hook.headers[0]["webhook-signature"].count("v1a,") == 3
        await at.core.endpoints.rotate(endpoint, grace=0, secret=first)
        await at.core.endpoints.update(endpoint, ed25519=False)
        await at.tell("bot", text("B"))
        await hook.until(lambda: len(hook.taken) == 2)
        Webhook(first).verify(hook.raw[1], hook.headers[1])
        for wrong in ({"grace": -1}, {"grace": 7 * 86400 + 1}, {"secret": "whsec_short"}):
            with pytest.raises(InvalidInput) as caught:
                await at.core.endpoints.rotate(endpoint, **wrong)
            assert caught.value.field in wrong


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-id": "x"},
        {"Webhook-Signature": "x"},
        {"HOST": "x"},
        {"Content-Length": "1"},
        {"Transfer-Encoding": "chunked"},
        {"": "x"},
        {"a b": "x"},
        {"ä": "x"},
        {"x": "a\r\nb: c"},
        {"x": "a\0"},
        {"x": " a"},
        {"x": ""},
        {"x": "ä"},
        {"x": "a", "X": "b"},
        {"x": "a" * 5000},
        {f"x{number}": "a" for number in range(21)},
    ],
)
async def test_headers_that_cannot_be_are_refused(tmp_path: Path, headers: dict[str, str]):
    async with world(tmp_path / "db") as at:
        with pytest.raises(InvalidInput) as caught:
            await at.core.endpoints.create("https://example.com/hook", headers=headers)
        assert caught.value.field == "headers"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("concurrency", 0),
        ("concurrency", 65),
        ("description", "x" * 501),
        ("url", "http://user:pass@example.com/"),
        ("events", ["webhook.test"]),
        ("secret", "x"),
    ],
)
async def test_other_values_that_cannot_be_are_refused(tmp_path: Path, field: str, value: Any):
    async with world(tmp_path / "db") as at:
        with pytest.raises(InvalidInput) as caught:
            await at.core.endpoints.create(**{"url": "https://example.com/hook", field: value})
        assert caught.value.field == field
        assert await at.core.endpoints.list() == []


# -- turns and ends -----------------------------------------------------------------------------------------------


async def test_a_long_queue_of_one_chat_does_not_keep_another_chat_waiting(tmp_path: Path):
    limits = replace(PATIENT, webhook_chunk=3)
    async with hooked(tmp_path, limits, concurrency=1) as (at, hook, endpoint):
        hook.answer = lambda body: 500
        for number in range(20):
            await at.tell("bot", text(f"A{number}", chat=person(1)))
        await at.tell("bot", text("B", chat=person(2)))
        await until(at, endpoint, "failed", *["pending"] * 19, "failed")
        await at.core.endpoints.pause(endpoint)
        hook.answer = lambda body: 200
        await at.core.endpoints.resume(endpoint)
        await hook.until(lambda: len(hook.taken) == 21)
        order = [one["data"]["id"] for one in hook.taken]
        assert order.index("B") <= 4
        assert [one for one in order if one != "B"] == [f"A{number}" for number in range(20)]


async def test_retry_after_puts_the_next_attempt_off(tmp_path: Path):
    async with hooked(tmp_path) as (at, hook, endpoint):
        hook.answer = lambda body: web.Response(status=429, headers={"Retry-After": "120"})
        await at.tell("bot", text("A"))
        await until(at, endpoint, "failed")
        [one] = await listed(at, endpoint)
        assert one.due is not None
        assert timedelta(seconds=120) <= one.due - one.attempts[0].at <= timedelta(seconds=130)
        assert (await at.core.endpoints.get(endpoint)).enabled


async def test_what_is_under_way_at_the_end_is_finished_and_not_repeated(tmp_path: Path):
    go = asyncio.Event()

    async def answer(body: dict[str, Any]) -> int:
        await go.wait()
        return 200

    async with receiver() as hook:
        hook.answer = answer
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await connected(at)
            endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
            for number in range(3):
                await at.tell("bot", text(f"A{number}", chat=person(number % 2)))
            await hook.until(lambda: hook.at_once == 2)
            asyncio.get_running_loop().call_later(0.05, go.set)
        assert len(hook.taken) == 2
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await until(at, endpoint.id, *["delivered"] * 3)
        assert [one["data"]["id"] for one in hook.taken].count("A2") == 1
        assert len(hook.got) == 3


async def test_only_what_does_not_finish_in_time_is_repeated_with_its_id(tmp_path: Path):
    async def answer(body: dict[str, Any]) -> int:
        if body["data"]["id"] == "A":
            await asyncio.Event().wait()
        return 200

    async with receiver() as hook:
        hook.answer = answer
        async with world(tmp_path / "db", linked=True, limits=replace(FAST, webhook_drain=0.02)) as at:
            await connected(at)
            endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
            await at.tell("bot", text("A", chat=person(1)))
            await at.tell("bot", text("B", chat=person(2)))
            await until(at, endpoint.id, "delivered")
        hook.answer = lambda body: 200
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await until(at, endpoint.id, *["delivered"] * 2)
        assert sorted(one["data"]["id"] for one in hook.got) == ["A", "A", "B"]
        assert len({one["id"] for one in hook.got}) == 2


async def test_the_pause_after_a_failure_grows_and_begins_anew_after_a_long_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    runs, pauses, now = [0.0, 0.0, 0.0, 0.0, 0.0, 61.0, 0.0], [], 0.0
    async with hooked(tmp_path) as (at, _, endpoint):
        of_all = at.core.delivery_log._dispatch

        async def fail(*_: object) -> bool:
            nonlocal now
            now += runs.pop(0)
            raise StoreError("the disk is full")

        async def rest(_: str, seconds: float) -> None:
            pauses.append(seconds)
            of_all._stopping = not runs

        monkeypatch.setattr(of_all, "_run", fail)
        monkeypatch.setattr(of_all, "_rest", rest)
        monkeypatch.setattr(dispatcher, "_clock", lambda: now)
        of_all.changed(endpoint)
        await of_all._tasks.settled()
        assert pauses == [5, 10, 20, 40, 60, 5, 10]


async def test_a_change_in_the_very_turn_in_which_a_pause_ends_is_no_fault(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        pause = asyncio.create_task(at.core.delivery_log._dispatch._rest("an endpoint", 0))
        await asyncio.sleep(0)
        assert "an endpoint" in at.core.delivery_log._dispatch._nudges
        at.core.delivery_log._dispatch._end_one("an endpoint")
        await pause


async def test_a_full_disk_holds_failed_deliveries_up_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(dispatcher, "_AGAIN", 0.02)
    async with hooked(tmp_path) as (at, hook, endpoint):
        for number in range(3):
            await at.tell("bot", text(f"A{number}"))
        await until(at, endpoint, *["delivered"] * 3)
        hook.answer = lambda body: 500
        disk = Failing(at.database)
        await at.tell("bot", text("A3"))
        disk.broken = True
        await hook.until(lambda: len(hook.got) >= 6)  # again and again, as nothing can be noted
        disk.broken = False
        hook.answer = lambda body: 200
        await until(at, endpoint, *["delivered"] * 4)
        assert [one["data"]["id"] for one in hook.taken] == [f"A{number}" for number in range(4)]
