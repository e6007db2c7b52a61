"""Endpoints that are not there: one attempt at a time until they are, nothing given up for it, nobody else held up."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.core.raw_receiver import raw_receiver
from tests.core.receiver import receiver
from tests.core.scripted import QUICK, World, eventually, text, world
from tests.core.webhooks.test_deliveries import hooked, listed, states, until
from tests.core.webhooks.test_endpoints import connected, person
from tests.harness.keys import KEYS
from zapwire.core.tuning import Tuning
from zapwire.core.webhooks import attempts, validation
from zapwire.core.webhooks.delay_queue import DelayQueue
from zapwire.core.webhooks.endpoint_health import ProbeTurn, Reachability
from zapwire.core.webhooks.jobs import OrderedQueue
from zapwire.core.webhooks.outcome import Outcome
from zapwire.model import timestamps
from zapwire.model.bots import BotState
from zapwire.model.webhooks import Endpoint
from zapwire.store.sqlite.database import Database
from zapwire.store.sqlite.repositories import delivery_queue

FAST = replace(
    QUICK, webhook_schedule=(3600.0,) * 2, webhook_absence=0.0, webhook_probe_first=0.01, webhook_probe_most=0.03
)
"""What is not retried because the endpoint is back is not tried at all while a test runs."""
NOW = datetime(2026, 1, 31, tzinfo=UTC)
REFUSED = Outcome(NOW, error="cannot be reached: Connection refused", connected=False)
SILENT = Outcome(NOW, error="it did not answer in time")
GATEWAY = Outcome(NOW, error="it answered 502", status=502)
ANSWERED = Outcome(NOW, error="it answered 500", status=500)


def fresh(**fields: Any) -> Endpoint:
    return Endpoint("whk_1", "https://example.com/", ("*",), None, enabled=True, created_at=NOW, **fields)


def reachability(limits: Tuning = FAST, **fields: Any) -> Reachability:
    return Reachability(fresh(**fields), limits, random.Random(1))


async def unreachable(at: World, endpoint: str) -> bool:
    return (await at.core.endpoints.get(endpoint)).unreachable_since is not None


# -- what attempts tell -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "found", "counted"),
    [
        ([REFUSED], True, [False]),
        ([SILENT], False, [True]),
        ([SILENT, SILENT], True, [True, False]),
        ([GATEWAY, SILENT, GATEWAY], True, [True, False, False]),
        ([SILENT, ANSWERED, SILENT, ANSWERED, GATEWAY], False, [True] * 5),
        ([REFUSED, ANSWERED], False, [False, True]),
        ([ANSWERED] * 20, False, [True] * 20),
    ],
)
async def test_when_an_endpoint_is_unreachable_and_what_counts(
    outcomes: list[Outcome], found: bool, counted: list[bool]
):
    reach = reachability()
    assert [reach.failed(one, "lane", 1, probe=False) for one in outcomes] == counted
    assert (reach.unreachable_since is not None) is found
    assert (reach.next_attempt_at is not None) is found
    assert reach.failing_since == NOW
    reach.succeeded()
    assert (reach.unreachable_since, reach.next_attempt_at, reach.failing_since) == (None, None, None)


async def test_only_an_outage_makes_what_failed_due_at_once():
    def after(*lanes: str, outcome: Outcome, limits: Tuning = FAST) -> datetime | None:
        reach = reachability(limits)
        for number, lane in enumerate(lanes):
            reach.failed(outcome, lane, number, probe=False)
        return reach.succeeded()

    assert after("a", outcome=REFUSED) == NOW
    assert after("a", outcome=ANSWERED) is None
    assert after("a", "a", outcome=ANSWERED) is None
    assert after("a", "b", outcome=ANSWERED) == NOW
    assert after("a", "b", outcome=ANSWERED, limits=replace(FAST, webhook_absence=60.0)) is None
    assert after(outcome=ANSWERED) is None


@given(st.lists(st.sampled_from([REFUSED, SILENT, ANSWERED, None]), max_size=40), st.integers())
def test_delays_grow_from_the_first_to_the_longest_and_one_success_ends_them(plan: list[Outcome | None], seed: int):
    async def play() -> None:
        limits = Tuning()
        reach = Reachability(fresh(), limits, random.Random(seed))
        failures = 0
        for outcome in plan:
            began = asyncio.get_running_loop().time()
            if outcome is None:
                reach.succeeded()
            else:
                reach.failed(outcome, "lane", 1, probe=True)
            if outcome is None or outcome is ANSWERED:
                failures = 0
            if reach.unreachable_since is None:
                assert await reach.turn(new=True) is ProbeTurn.FREE
                continue
            step = min(limits.webhook_probe_first * 2**failures, limits.webhook_probe_most)
            failures += 1
            assert step * 0.8 <= reach._next - began <= step + 0.5
        reach.stop()

    asyncio.run(play())


@pytest.mark.parametrize(("asked", "delay"), [(None, 1), (0.5, 1), (120.0, 120), (1e9, 3600)])
async def test_retry_after_puts_the_next_attempt_off_up_to_an_hour(asked: float | None, delay: float):
    reach = reachability(replace(FAST, webhook_probe_first=1.0, webhook_probe_most=30.0))
    for _ in range(2):
        reach.failed(replace(GATEWAY, retry_after=asked), "lane", 1, probe=False)
    assert reach.next_attempt_at is not None
    assert timedelta(seconds=delay * 0.7) <= reach.next_attempt_at - timestamps.now() <= timedelta(seconds=delay)


# -- turns --------------------------------------------------------------------------------------------------------


async def test_one_at_a_time_in_turn_while_it_is_unreachable_and_all_when_it_answers():
    reach = reachability(unreachable_since=NOW, failing_since=NOW)
    order: list[str] = []

    async def attempt(name: str) -> None:
        while (turn := await reach.turn(new=False)) is ProbeTurn.PROBE:
            order.append(name)
            assert reach._probing
            await asyncio.sleep(0)
            if len(order) == 7:
                reach.succeeded()
            else:
                reach.failed(REFUSED, name, 1, probe=True)
            reach.probed()
        assert turn is ProbeTurn.FREE
        order.append(name.upper())

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(attempt(name))
    assert order[:7] == list("abcabca")
    assert sorted(order[7:]) == list("ABC")


async def test_whoever_goes_away_while_it_has_the_turn_gives_it_on():
    reach = reachability(unreachable_since=NOW, failing_since=NOW)
    assert await reach.turn(new=False) is ProbeTurn.PROBE
    first, second = (asyncio.ensure_future(reach.turn(new=False)) for _ in range(2))
    await asyncio.sleep(0)
    reach.probed()
    first.cancel()  # it was just given the turn, and does not know it yet
    assert await second is ProbeTurn.PROBE
    third = asyncio.ensure_future(reach.turn(new=True))
    await asyncio.sleep(0)
    reach.stop()
    assert await third is ProbeTurn.STOPPED
    assert await reach.turn(new=True) is ProbeTurn.STOPPED


async def test_after_a_long_streak_only_what_is_new_waits():
    reach = reachability(replace(FAST, webhook_streak=3))
    for number in range(3):
        reach.failed(ANSWERED, "lane", number, probe=False)
    assert await reach.turn(new=False) is ProbeTurn.FREE
    assert await reach.turn(new=True) is ProbeTurn.PROBE
    reach.stop()


# -- an outage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chats", [1, 5, 60])
async def test_what_came_while_nobody_was_there_arrives_in_order_when_somebody_is(tmp_path: Path, chats: int):
    async with world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        async with receiver() as hook:
            url, port = hook.url, hook.port
        endpoint, _ = await at.core.endpoints.create(url, events=["message.received"], concurrency=4)
        for number in range(60):
            await at.tell("bot", text(f"A{number}", chat=person(number % chats)))
        await eventually(lambda: unreachable(at, endpoint.id))
        found = await at.core.endpoints.get(endpoint.id)
        assert found.failing_since == found.unreachable_since
        assert found.next_attempt_at is not None
        assert found.last_error == "cannot be reached: Connection refused"
        assert await listed(at, endpoint.id, limit=100) == [], "it costs no rows"
        async with receiver(port) as hook:
            await hook.until(lambda: len(hook.taken) == 60)
            await until(at, endpoint.id, *["delivered"] * 50)  # of a page
            for chat in range(chats):
                ids = [one["data"]["id"] for one in hook.taken if one["data"]["chat"]["phone"] == person(chat).phone]
                assert ids == [f"A{number}" for number in range(chat, 60, chats)]
            for one in await listed(at, endpoint.id, limit=100):
                assert [a.status for a in one.attempts] == [200]
        found = await at.core.endpoints.get(endpoint.id)
        assert (found.failing_since, found.unreachable_since, found.next_attempt_at, found.last_error) == (None,) * 4


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_behind_a_proxy_too_and_only_one_at_a_time(tmp_path: Path, status: int):
    async with hooked(tmp_path, replace(FAST, webhook_probe_first=0.02), concurrency=8) as (at, hook, endpoint):
        hook.answer = lambda body: status
        await at.tell("bot", text("first", chat=person(9)))
        await hook.until(lambda: len(hook.got) == 1)
        await at.tell("bot", text("second", chat=person(8)))
        await eventually(lambda: unreachable(at, endpoint))
        hook.most_at_once, before = 0, len(hook.got)
        for number in range(24):
            await at.tell("bot", text(f"A{number}", chat=person(number % 8)))
        await hook.until(lambda: len(hook.got) >= before + 6)
        assert hook.most_at_once == 1
        assert len({one["id"] for one in hook.got[before:]}) > 3, "they take turns"
        hook.answer = lambda body: 200
        await hook.until(lambda: len(hook.taken) == 26)
        for chat in range(8):
            ids = [one["data"]["id"] for one in hook.taken if one["data"]["chat"]["phone"] == person(chat).phone]
            assert [one for one in ids if one.startswith("A")] == [f"A{number}" for number in range(chat, 24, 8)]


async def test_a_restart_meanwhile_changes_nothing(tmp_path: Path):
    slow = replace(FAST, webhook_probe_first=3600.0, webhook_probe_most=3600.0)
    async with receiver() as hook:
        hook.answer = lambda body: 503
        async with world(tmp_path / "db", linked=True, limits=slow) as at:
            await connected(at)
            endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
            for number in range(20):
                await at.tell("bot", text(f"A{number}", chat=person(number % 5)))
            await eventually(lambda: unreachable(at, endpoint.id))
            before = await at.core.endpoints.get(endpoint.id)
        hook.got.clear()
        hook.most_at_once = 0
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await hook.until(lambda: len(hook.got) == 3)
            found = await at.core.endpoints.get(endpoint.id)
            assert (found.unreachable_since, found.failing_since) == (before.unreachable_since, before.failing_since)
            assert hook.most_at_once == 1
            hook.answer = lambda body: 200
            await hook.until(lambda: len({one["id"] for one in hook.taken}) == 20)
            for chat in range(5):
                ids = [one["data"]["id"] for one in hook.taken if one["data"]["chat"]["phone"] == person(chat).phone]
                assert list(dict.fromkeys(ids)) == [f"A{number}" for number in range(chat, 20, 5)]


async def test_an_event_whose_answer_never_comes_holds_up_no_other_chat_and_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(validation, "TIMEOUTS", (0.05, 60))
    limits = replace(FAST, webhook_schedule=(0.02,) * 4)

    async def answer(body: dict[str, Any]) -> int:
        if body["data"]["text"] == "poison":
            await asyncio.Event().wait()
        return 200

    async with hooked(tmp_path, limits, timeout=0.05) as (at, hook, endpoint):
        hook.answer = answer
        await at.tell("bot", text("P", "poison", chat=person(1)))
        await at.tell("bot", text("Q", "behind", chat=person(1)))
        await eventually(lambda: unreachable(at, endpoint))  # for all one can know
        await at.tell("bot", text("A", chat=person(2)))
        await hook.until(lambda: any(one["data"]["id"] == "A" for one in hook.taken))
        await until(at, endpoint, "dead", "delivered", "delivered")


async def test_one_that_stays_unreachable_is_disabled_and_has_everything_when_it_is_enabled(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(FAST, webhook_failing=0.2)) as at:
        await connected(at)
        async with receiver() as hook:
            url, port = hook.url, hook.port
        endpoint, _ = await at.core.endpoints.create(url, events=["message.received"])
        for number in range(3):
            await at.tell("bot", text(f"A{number}"))

        async def disabled() -> bool:
            return not (await at.core.endpoints.get(endpoint.id)).enabled

        await eventually(disabled)
        [told] = await at.events("webhook.disabled")
        assert told.data["reason"] == "it has taken nothing for too long"
        async with receiver(port) as hook:
            again = await at.core.endpoints.update(endpoint.id, enabled=True)
            assert (again.unreachable_since, again.next_attempt_at) == (None, None)
            await hook.until(lambda: len(hook.taken) == 3)


async def test_one_that_failed_when_the_daemon_stopped_for_a_week_is_not_disabled_at_its_first_failure(tmp_path: Path):
    async with receiver() as hook:
        hook.answer = lambda body: 503
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await connected(at)
            endpoint, _ = await at.core.endpoints.create(hook.url, events=["message.received"])
            for number in range(3):
                await at.tell("bot", text(f"A{number}", chat=person(number)))
            await eventually(lambda: unreachable(at, endpoint.id))
        async with Database.open(tmp_path / "db", KEYS) as database:
            query = "UPDATE endpoints SET failing_since = failing_since - ?"
            await database.write(lambda transaction: transaction.sql.execute(query, (7 * 86_400_000,)))
        hook.got.clear()
        async with world(tmp_path / "db", linked=True, limits=FAST) as at:
            await hook.until(lambda: len(hook.got) == 3)
            hook.answer = lambda body: 200
            await hook.until(lambda: len({one["id"] for one in hook.taken}) == 3)
            assert (await at.core.endpoints.get(endpoint.id)).enabled


async def test_events_of_a_bot_that_was_deleted_meanwhile_are_not_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempts, "_LONG", timedelta(0))
    async with world(tmp_path / "db", linked=True, limits=FAST) as at:
        await connected(at)
        await at.core.bots.create("other")
        await at.until("other", BotState.CONNECTED)
        async with receiver() as hook:
            url, port = hook.url, hook.port
        endpoint, _ = await at.core.endpoints.create(url, events=["message.received"])
        for number in range(3):
            await at.tell("bot", text(f"A{number}"))
            await at.tell("other", text(f"B{number}"))
        await eventually(lambda: unreachable(at, endpoint.id))
        await at.core.bots.delete("bot")
        async with receiver(port) as hook:
            await hook.until(lambda: len(hook.taken) == 3)
            await until(at, endpoint.id, *["delivered"] * 3)
            assert [one["data"]["id"] for one in hook.got] == ["B0", "B1", "B2"]
            await eventually(lambda: at.core.delivery_log._dispatch.pending == 0)


async def test_what_failed_is_made_due_a_little_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(delivery_queue, "_DUE_AT_ONCE", 2)
    async with hooked(tmp_path, replace(FAST, webhook_streak=1000)) as (at, hook, endpoint):
        hook.answer = lambda body: 500
        for number in range(7):
            await at.tell("bot", text(f"A{number}", chat=person(number)))
        await until(at, endpoint, *["failed"] * 7)
        hook.answer = lambda body: 200
        await at.tell("bot", text("back", chat=person(9)))
        await until(at, endpoint, *["delivered"] * 8)


class Agendas(RuleBasedStateMachine):
    """An agenda, and a plain list that says what has to come out."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.lanes = [OrderedQueue(str(number)) for number in range(6)]
        self.waiting: dict[str, tuple[float, float, int]] = {}
        self.count = 0
        with mock.patch("asyncio.get_running_loop"):
            self.delays = DelayQueue()
        self.delays._now = lambda: self.now

    @rule(number=st.integers(0, 5), delay=st.integers(0, 5))
    def put(self, number: int, delay: int) -> None:
        self.lanes[number].due = self.now + delay
        self.delays.put(self.lanes[number])
        self.count += 1
        self.waiting[str(number)] = (math.inf, self.now + delay, self.count)

    @rule()
    def hurry(self) -> None:
        self.count += 1
        for name, (hurried, due, number) in self.waiting.items():
            self.waiting[name] = (min(hurried, self.count), due, number)
        self.delays.hurry()

    @rule(seconds=st.integers(1, 4))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        due = {name: key for name, key in self.waiting.items() if key[0] < math.inf or key[1] <= self.now}
        lane, delay = self.delays._first()
        if not due:
            assert lane is None
            times_left = [key[1] for key in self.waiting.values()]
            assert delay == (min(times_left) - self.now if times_left else None)
            return
        assert lane is not None
        assert lane.name == min(due, key=lambda name: due[name])
        del self.delays._valid[lane], self.waiting[lane.name]


TestAgendas = Agendas.TestCase


# -- what it does not want ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_one_body_that_is_refused_does_not_hold_its_chat_for_days(tmp_path: Path, status: int):
    limits = replace(FAST, webhook_schedule=(0.01, 0.01, *(3600.0,) * 7))
    async with hooked(tmp_path, limits) as (at, hook, endpoint):
        hook.answer = lambda body: status if body["data"]["text"] == "poison" else 200
        await at.tell("bot", text("P", "poison", chat=person(1)))
        await at.tell("bot", text("Q", chat=person(1)))
        await until(at, endpoint, "dead", "delivered")
        [dead] = await listed(at, endpoint, state="dead")
        assert [one.status for one in dead.attempts] == [status] * 3


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500])
async def test_what_may_be_taken_later_has_all_its_attempts(tmp_path: Path, status: int):
    async with hooked(tmp_path, replace(FAST, webhook_schedule=(0.01,) * 9)) as (at, hook, endpoint):
        hook.answer = lambda body: status
        await at.tell("bot", text("P"))
        await until(at, endpoint, "dead")
        assert len(hook.got) == 10


async def test_a_receiver_that_refuses_everything_is_no_reason_to_give_events_up(tmp_path: Path):
    limits = replace(FAST, webhook_schedule=(0.01,) * 3 + (3600.0,))
    async with hooked(tmp_path, limits) as (at, hook, endpoint):
        hook.answer = lambda body: 404
        for number in range(4):
            await at.tell("bot", text(f"A{number}", chat=person(number)))
        await hook.until(lambda: len(hook.got) == 16)  # four attempts each: more than the three of one that is alone
        assert await states(at, endpoint) == ["failed"] * 4
        hook.answer = lambda body: 200
        await at.tell("bot", text("back", chat=person(9)))
        await until(at, endpoint, *["delivered"] * 5)


# -- others -------------------------------------------------------------------------------------------------------


async def test_mute_receivers_hold_up_nobody_else(tmp_path: Path):
    """As many as could be open at the same time, and a good one beside them."""
    limits = replace(FAST, webhook_posts=44, cursor_saved=0.01)
    async with AsyncExitStack() as stack:
        mutes = [await stack.enter_async_context(raw_receiver(b"", close=False)) for _ in range(10)]
        hook = await stack.enter_async_context(receiver())
        at = await stack.enter_async_context(world(tmp_path / "db", linked=True, limits=limits))
        await connected(at)
        for mute in mutes:
            await at.core.endpoints.create(mute.url, events=["message.received"], concurrency=64, timeout=60)
        await at.core.endpoints.create(hook.url, events=["message.received"], concurrency=64)
        for number in range(150):
            await at.tell("bot", text(f"A{number}", chat=person(number % 50)))
        await hook.until(lambda: len(hook.taken) == 150)
        assert all(1 <= mute.open == len(mute.got) <= 44 // 11 for mute in mutes), "they were still waited for"


async def test_tests_of_a_mute_receiver_are_bounded(tmp_path: Path):
    async with raw_receiver(b"", close=False) as mute, world(tmp_path / "db") as at:
        endpoint, _ = await at.core.endpoints.create(mute.url, timeout=1)
        results = await asyncio.gather(
            *(at.core.delivery_log.test(endpoint.id) for _ in range(6)), return_exceptions=True
        )
        assert [type(one).__name__ for one in results].count("TooMany") == 2
        mute.answers = [b"HTTP/1.1 204 No Content\r\n\r\n"]
        assert (await at.core.delivery_log.test(endpoint.id))[1].error is None


async def test_the_time_limit_is_the_endpoints_own(tmp_path: Path):
    async with raw_receiver(b"", close=False) as mute, world(tmp_path / "db") as at:
        endpoint, _ = await at.core.endpoints.create(mute.url, timeout=1)
        _, outcome = await at.core.delivery_log.test(endpoint.id)
        assert outcome.error == "it did not answer in time"
        assert 1000 <= outcome.duration_ms < 15_000
        assert (await at.core.endpoints.update(endpoint.id, timeout=60, client_error_attempts=10)).timeout == 60
        assert (await at.core.endpoints.get(endpoint.id)).client_error_attempts == 10


async def test_an_answer_that_is_no_success_ends_it_too(tmp_path: Path):
    limits = replace(FAST, webhook_schedule=(0.02,) * 50)
    async with hooked(tmp_path, limits) as (at, hook, endpoint):
        answers = iter([502, 502, 500, 500])
        hook.answer = lambda body: web.Response(status=next(answers, 200))
        await at.tell("bot", text("A"))
        await at.tell("bot", text("B", chat=person(2)))
        await until(at, endpoint, "delivered", "delivered")
        assert not await unreachable(at, endpoint)
