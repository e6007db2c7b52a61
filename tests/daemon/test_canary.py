"""One bot goes first, and what becomes of the others then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from tests.core.scripted import World, world
from zapwire.daemon.canary import Canary
from zapwire.daemon.self_restart import RestartPolicy
from zapwire.model.bots import BotState
from zapwire.model.errors import Blocked, Condition
from zapwire.runtime.process import Process, process

START = datetime(2026, 11, 26, 3, 0, tzinfo=UTC)


@pytest_asyncio.fixture
async def at(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path / "db", linked=True) as made:
        await made.core.bots.create("first")
        await made.until("first", BotState.CONNECTED)
        yield made


async def tried(canary: Canary) -> str:
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    canary.check(START, lambda: came.set_result("passed"), lambda: came.set_result("failed"))
    async with asyncio.timeout(20):
        return await came


async def test_a_canary_that_is_connected_again_lets_the_others_follow(at: World):
    canary = Canary(at.core.bots, "first", START)
    before = at.transports["first"].runs
    assert await tried(canary) == "passed"
    assert (canary.problem, at.transports["first"].runs) == (None, before + 1)
    assert not canary.due(START + timedelta(hours=23))
    assert canary.due(START + timedelta(hours=25))


async def test_a_canary_that_is_refused_is_an_alert_until_its_next_restart_goes_well(at: World):
    canary, transport = Canary(at.core.bots, "first", START), at.transports["first"]
    was: Callable[..., object] = transport._run

    async def refused(*_: object) -> None:
        raise Blocked("WhatsApp no longer accepts this version", action="Wait.", condition=Condition.OUTDATED)

    transport._run = refused
    assert await tried(canary) == "failed"
    assert canary.problem is not None
    assert "was refused after its restart (WhatsApp no longer accepts this version)" in canary.problem
    assert at.core.bots.outdated() == 1
    assert await tried(canary) == "failed"
    assert "was blocked before its restart" in canary.problem
    transport._run = was
    await at.core.bots.get("first").connect()
    await at.until("first", BotState.CONNECTED)
    assert await tried(canary) == "passed"
    assert canary.problem is None


@pytest.mark.parametrize(("bot", "words"), [("nobody", "could not be restarted (no such bot)"), ("off", "was stopped")])
async def test_a_canary_that_cannot_go_first_holds_the_others_in_words(at: World, bot: str, words: str):
    await at.core.bots.create("off", autostart=False)
    canary = Canary(at.core.bots, bot, START)
    assert await tried(canary) == "failed"
    assert canary.problem is not None
    assert words in canary.problem


async def test_one_that_does_not_come_back_in_time_is_told_of_and_a_check_is_not_doubled(at: World):
    transport = at.transports["first"]
    canary = Canary(at.core.bots, "first", START, patience=0.05)
    transport._run = lambda *_: asyncio.Event().wait()
    came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    canary.check(START, lambda: None, lambda: came.set_result("failed"))
    canary.check(START, lambda: pytest.fail("a second one"), lambda: pytest.fail("a second one"))
    async with asyncio.timeout(20):
        await came
    assert canary.problem is not None
    assert "within 0.05 s" in canary.problem
    await canary.close()


def test_a_restart_that_is_left_out_is_due_a_day_later() -> None:
    used = process()
    policy = RestartPolicy(START, at="04:00", rss_mb=None, descriptors=None)
    assert policy.due(START + timedelta(hours=1), used) is not None
    policy.postpone(START + timedelta(hours=1))
    assert policy.due(START + timedelta(hours=2), used) is None
    assert policy.due(START + timedelta(hours=25), used) is not None
    limit = RestartPolicy(START, at=None, rss_mb=1, descriptors=None)
    grown = Process(**{**vars_of(used), "resident": 1 << 30})
    assert limit.due(START + timedelta(hours=1), grown) is not None
    limit.postpone(START + timedelta(hours=1))
    assert limit.due(START + timedelta(hours=2), grown) is None
    assert limit.due(START + timedelta(hours=26), grown) is not None


def vars_of(used: Process) -> dict[str, int]:
    return {name: getattr(used, name) for name in used.__dataclass_fields__}
