"""Liveness, halts that end by themselves, and the history; the transport is scripted, the database real."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.core.scripted import (
    ALICE,
    KEYS,
    QUICK,
    World,
    eventually,
    registered,
    text,
    world,
)
from tests.harness.scripted import ProbedTransport, ScriptedTransports
from zapwire.core.bots import connection
from zapwire.core.bots.circuit_breaker import CircuitBreaker
from zapwire.core.tuning import Tuning
from zapwire.core.wiring import open_core
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotState
from zapwire.model.errors import Blocked, Condition, TransportError
from zapwire.store.sqlite.database import Database
from zapwire.transport.protocol import Connected, Disconnected, Troubled

ASKING = replace(QUICK, probe_interval=0.02, probe_again=0.01, silent_rest=0.2)


class Fleet:
    def __init__(self, path: Path, limits: Tuning = ASKING) -> None:
        self.path, self.limits = path, limits

    async def __aenter__(self) -> World:
        transports = ScriptedTransports(linked=True, kind=ProbedTransport)
        self._database = Database.open(self.path, KEYS)
        database = await self._database.__aenter__()
        self._core = open_core(database, registered(transports), limits=self.limits, chance=random.Random(1))
        return World(await self._core.__aenter__(), transports, database)

    async def __aexit__(self, *error: object) -> None:
        await self._core.__aexit__(None, None, None)
        await self._database.__aexit__(None, None, None)


async def history(at: World) -> list[tuple[str, str | None]]:
    return [(entry.state, entry.code) for entry in reversed(await at.core.bots.get("bot").history())]


async def test_a_deaf_connection_is_told_made_anew_and_its_recovery_is_told(tmp_path: Path):
    async with Fleet(tmp_path / "db") as at:
        await at.core.bots.create("bot")
        bot = at.transports["bot"]
        await at.until("bot", BotState.CONNECTED)
        await eventually(lambda: bot.probes > 1)
        health = (at.core.bots.get("bot").view).health
        assert health is not None
        assert health.healthy
        assert await at.events("bot.unhealthy") == []
        bot.hears = False
        await eventually(lambda: bot.runs == 2)
        [told] = await at.events("bot.unhealthy")
        assert (told.data["state"], told.data["code"], told.data["health"]["healthy"]) == ("connected", "silent", False)
        assert told.data["health"]["probe_failures"] == 2
        bot.hears = True
        await eventually(lambda: at.events("bot.healthy"))
        [told] = await at.events("bot.healthy")
        assert (told.data["code"], told.data["health"]["healthy"]) == (None, True)
        assert await history(at) == [
            ("starting", None), ("connected", None), ("connected", "silent"), ("reconnecting", "silent"),
            ("connected", None),
        ]  # fmt: skip


async def test_three_deaf_connections_call_a_person_and_the_bot_tries_again_all_the_same(tmp_path: Path):
    async with Fleet(tmp_path / "db") as at:
        await at.core.bots.create("bot")
        bot = at.transports["bot"]
        bot.hears = False
        view = await at.until("bot", BotState.BLOCKED)
        assert (view.code, bot.runs) == ("silent", 3)
        assert view.action is not None
        assert "pair it again" in view.action
        assert view.next_attempt_at is not None
        bot.hears = True
        await eventually(lambda: at.events("bot.healthy"))
        assert (at.core.bots.get("bot").view).state is BotState.CONNECTED
        assert len(await at.events("bot.unhealthy")) == 1


async def test_silence_that_the_transport_finds_counts_too_unless_messages_came_between(tmp_path: Path):
    silence = TransportError("WhatsApp stopped answering", condition=Condition.SILENT)
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        bot = at.transports["bot"]
        for number in range(4):
            await at.until("bot", BotState.CONNECTED)
            await at.tell("bot", text(f"IN{number}"))
            bot.script.put_nowait(silence)
            await eventually(lambda: bot.runs == number + 2)  # noqa: B023 - awaited in this round
        for runs in (6, 7):
            await at.until("bot", BotState.CONNECTED)
            bot.script.put_nowait(silence)
            if runs == 6:
                await eventually(lambda: bot.runs == 6)
        view = await at.until("bot", BotState.BLOCKED)
        assert (view.code, view.next_attempt_at is not None) == ("silent", True)


async def test_no_traffic_and_no_answer_is_not_healthy(tmp_path: Path):
    async with Fleet(tmp_path / "db", replace(ASKING, probe_interval=3600)) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        health = (at.core.bots.get("bot").view).health
        assert health is not None
        assert not health.healthy
        at.transports["bot"].quiet = 1.0
        health = (at.core.bots.get("bot").view).health
        assert health is not None
        assert health.healthy
        assert at.transports["bot"].probes == 0
        await at.tell("bot", Disconnected("gone"))
        health = (at.core.bots.get("bot").view).health
        assert health is not None
        assert not health.healthy
        await at.core.bots.get("bot").disconnect()
        await eventually(lambda: at.transports["bot"].running == 0)
        await eventually(lambda: at.core.bots.get("bot").view.health is None)


async def test_a_clock_that_is_set_back_hides_no_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with Fleet(tmp_path / "db") as at:
        await at.core.bots.create("bot")
        bot = at.transports["bot"]
        await at.until("bot", BotState.CONNECTED)
        await eventually(lambda: bot.probes > 1)
        real = timestamps.now
        monkeypatch.setattr(timestamps, "now", lambda: real() - timedelta(hours=5))
        bot.hears = False
        await eventually(lambda: at.events("bot.unhealthy"))
        monkeypatch.setattr(timestamps, "now", lambda: real() + timedelta(hours=5))
        bot.hears = True
        await eventually(lambda: at.events("bot.healthy"))


async def test_traffic_takes_the_place_of_probes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    looks: list[float] = []

    def quiet(_: ProbedTransport) -> float:
        looks.append(0.0)
        return 0.0

    monkeypatch.setattr(ProbedTransport, "quiet", property(quiet))
    async with Fleet(tmp_path / "db") as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        await eventually(lambda: len(looks) > 30)  # ten intervals at least: it looks up to three times in each
        assert at.transports["bot"].probes == 0


async def test_an_answer_that_comes_late_is_waited_for_and_nothing_else_is_asked_meanwhile(tmp_path: Path):
    async with Fleet(tmp_path / "db") as at:
        await at.core.bots.create("bot")
        bot = at.transports["bot"]
        bot.answers.clear()
        await eventually(lambda: bot.probes == 1)
        await at.tell("bot", text("A"))  # messages come in all the same
        assert bot.probes == 1
        bot.answers.set()
        await eventually(lambda: bot.probes > 1)
        health = (at.core.bots.get("bot").view).health
        assert health is not None
        assert health.healthy
        assert bot.runs == 1


async def test_a_probe_that_is_never_answered_keeps_nobody_from_stopping_the_bot(tmp_path: Path):
    async with Fleet(tmp_path / "db") as at:
        await at.core.bots.create("bot")
        bot = at.transports["bot"]
        bot.answers.clear()
        await eventually(lambda: bot.probes == 1)
        await at.core.bots.get("bot").disconnect()
        await eventually(lambda: bot.running == 0)
        await at.core.bots.delete("bot")


def banned(seconds: float) -> Blocked:
    until = datetime.now(UTC) + timedelta(seconds=seconds)
    return Blocked("banned", action="wait", condition=Condition.BANNED, until=until)


async def test_a_ban_with_an_end_is_waited_out_and_not_tried_before(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        at.transports["bot"].script.put_nowait(banned(0.3))
        view = await at.until("bot", BotState.BLOCKED)
        assert view.restriction is not None
        assert (view.code, view.restriction.kind, view.restriction.until) == ("banned", "banned", view.next_attempt_at)
        assert at.transports["bot"].runs == 1
        await at.until("bot", BotState.CONNECTED)
        assert view.next_attempt_at is not None
        assert datetime.now(UTC) >= view.next_attempt_at
        assert at.transports["bot"].runs == 2


@pytest.mark.parametrize(("condition", "kept"), [("banned", True), ("replaced", True), ("outdated", False)])
async def test_what_is_final_is_not_tried_again_by_a_restart(tmp_path: Path, condition: str, kept: bool):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        error = Blocked("no", action="look", condition=Condition(condition))
        at.transports["bot"].script.put_nowait(error)
        await at.until("bot", BotState.BLOCKED)
    async with world(tmp_path / "db", linked=True) as at:
        if not kept:
            await at.until("bot", BotState.CONNECTED)
            return
        view = at.core.bots.get("bot").view
        assert (view.state, view.code, view.reason, view.action) == (BotState.BLOCKED, condition, "no", "look")
        await at.core.bots.get("bot")._supervisor.idle.wait()  # it has nothing to do until somebody orders it
        assert at.transports["bot"].runs == 0


async def test_a_ban_is_waited_out_over_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real, ahead, looks = timestamps.now, timedelta(), 0

    def now() -> datetime:
        nonlocal looks
        looks += 1
        return real() + ahead

    monkeypatch.setattr(timestamps, "now", now)
    monkeypatch.setattr(connection, "_CLOCK_STEP", 0.001)
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        at.transports["bot"].script.put_nowait(banned(3600))
        await at.until("bot", BotState.BLOCKED)
    async with world(tmp_path / "db", linked=True) as at:
        seen = looks
        await eventually(lambda: looks > seen + 20)  # it looks at the clock, again and again
        again = at.core.bots.get("bot").view
        assert (again.state, again.code, at.transports["bot"].runs) == (BotState.BLOCKED, "banned", 0)
        ahead = timedelta(hours=1)
        await at.until("bot", BotState.CONNECTED)
        assert at.transports["bot"].runs == 1


async def test_a_banned_bot_that_was_stopped_does_not_come_back_by_itself(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        await at.until("bot", BotState.CONNECTED)
        at.transports["bot"].script.put_nowait(banned(0.3))
        await at.until("bot", BotState.BLOCKED)
        await at.core.bots.get("bot").disconnect()
    async with world(tmp_path / "db", linked=True) as at:
        view = at.core.bots.get("bot").view
        assert (view.state, view.code, view.next_attempt_at) == (BotState.BLOCKED, "banned", None)
        await at.core.bots.get("bot")._supervisor.idle.wait()  # nobody waits for the end of the ban
        assert at.transports["bot"].runs == 0
        await at.core.bots.get("bot").connect()
        await at.until("bot", BotState.CONNECTED)


async def test_attempts_that_fail_alike_are_one_entry_and_the_history_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("zapwire.store.sqlite.repositories.bot_history.KEPT", 10)
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("bot")
        bot = at.transports["bot"]
        await at.until("bot", BotState.CONNECTED)
        bot.linked = False
        for _ in range(4):
            bot.script.put_nowait(TransportError("no way", condition=Condition.UNREACHABLE))
        await eventually(lambda: bot.runs == 5)
        newest = (await at.core.bots.get("bot").history())[0]
        assert (newest.state, newest.code, newest.reason, newest.repeated) == (
            "reconnecting",
            "unreachable",
            "no way",
            3,
        )
        for n in range(20):
            await at.tell("bot", Troubled(f"trouble {n}", "look", Condition.STORE))
        page = await at.core.bots.get("bot").history(limit=6)
        older = await at.core.bots.get("bot").history(limit=6, before=page[-1].id)
        assert [entry.reason for entry in page + older] == [f"trouble {n}" for n in range(19, 9, -1)]


def failure(words: str = "refused") -> TransportError:
    return TransportError(words, condition=Condition.UNREACHABLE)


def test_after_enough_bots_failing_alike_the_first_one_tries_for_all():
    now = [0.0]
    breaker = CircuitBreaker(Tuning(alike=3, alike_within=100), lambda: now[0])
    bots = [BotId(f"bot-{n}") for n in range(5)]
    assert [breaker.failed(bot, failure()) for bot in bots[:3]] == [None] * 3
    waiting = [breaker.failed(bot, failure()) for bot in bots[3:]]
    assert all(event is not None and not event.is_set() for event in waiting)
    assert breaker.failed(bots[2], failure()) is None, "the scout goes on"
    assert breaker.failed(BotId("other"), failure("other words")) is None
    breaker.left(bots[0])
    assert not waiting[0].is_set()  # type: ignore[union-attr]
    breaker.left(bots[2])
    assert all(event.is_set() for event in waiting)  # type: ignore[union-attr]
    assert breaker.failed(bots[3], failure()) is None, "it restarts"


def test_failures_that_lie_far_apart_or_are_a_bots_own_make_no_group():
    now = [0.0]
    breaker = CircuitBreaker(Tuning(alike=3, alike_within=100), lambda: now[0])
    for n in range(9):
        now[0] += 60
        assert breaker.failed(BotId(f"bot-{n}"), failure()) is None
    own = TransportError("odd", condition=Condition.TROUBLE)
    assert [breaker.failed(BotId(f"own-{n}"), own) for n in range(9)] == [None] * 9


async def test_bots_that_wait_for_another_come_back_when_it_has_found_the_way(tmp_path: Path):
    limits = replace(QUICK, alike=3, backoff_first=0.05, backoff_most=0.05, spread=0.02, jitter=0)
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        at.transports.linked = False
        names = [f"bot-{n}" for n in range(6)]
        for name in names:
            await at.core.bots.create(name)
        limits_most = 30.0
        object.__setattr__(limits, "backoff_most", limits_most)  # who waits for the scout must not come by itself
        for name in names:
            at.transports[name].script.put_nowait(failure())
            await at.until(name, BotState.RECONNECTING)
        spoken = [bot for bot in await at.core.bots.list() if "one of them tries for all" in (bot.reason or "")]
        assert len(spoken) == 3
        scout = names[2]  # the one with which they became many
        for name in names[3:]:
            at.transports[name].linked = True
        at.transports[scout].script.put_nowait(Connected(ALICE))  # in this attempt or, if it still pauses, in its next
        for name in names[2:]:
            await at.until(name, BotState.CONNECTED)
