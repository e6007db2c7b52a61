"""A bot is there or it is not, whatever fails while it is made, imported or deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.core.scripted import ALICE, Failing, ScriptedTransports, World, eventually, paired, world
from zapwire.core.fleet import AuthState
from zapwire.errors import AuthStateFound, Conflict, NotFound, StoreError
from zapwire.model import BotState
from zapwire.store import bots

SECRET = "correct horse battery"


class FailingReads:
    """Makes the reads of a database fail while it is `broken`."""

    def __init__(self, at: World) -> None:
        self.broken = True
        self._read = at.database.read
        at.database.read = self.read  # type: ignore[method-assign]

    async def read(self, work: Callable[[Any], Any]) -> Any:
        if self.broken:
            raise StoreError("cannot read the database: disk I/O error")
        return await self._read(work)


async def nobody_is_half_there(at: World) -> None:
    rows = await at.database.read(bots.all_bots)
    assert sorted(row.id for row in rows) == sorted(view.id for view in await at.core.fleet.list())
    assert set(at.core.sender._lanes) == {row.id for row in rows}


async def bundle(tmp_path: Path) -> bytes:
    async with world(tmp_path / "elsewhere") as at:
        await at.core.fleet.create("shop")
        await at.tell("shop", paired())
        return await at.core.moving.export("shop", SECRET, move=False)


@pytest.mark.parametrize("fails", ["reads", "writes"])
async def test_a_bot_that_cannot_be_made_is_not_there_and_can_be_made_later(tmp_path: Path, fails: str):
    async with world(tmp_path / "db") as at:
        disk = Failing(at.database, broken=True) if fails == "writes" else FailingReads(at)
        with pytest.raises(StoreError):
            await at.core.fleet.create("a")
        disk.broken = False
        with pytest.raises(NotFound):
            await at.core.fleet.get("a")
        await nobody_is_half_there(at)
        await at.core.fleet.create("a")
        await at.core.fleet.delete("a")
        await nobody_is_half_there(at)


async def test_a_bot_that_cannot_be_deleted_stays_and_can_be_deleted_later(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.fleet.create("a")
        await at.until("a", BotState.CONNECTED)
        disk, plain = Failing(at.database), at.transports.forget

        async def forget(bot: Any) -> None:
            disk.broken = True
            await plain(bot)

        at.transports.forget = forget  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await at.core.fleet.delete("a")
        assert (await at.core.fleet.get("a")).id == "a"
        at.transports.forget = plain  # type: ignore[method-assign]
        disk.broken = False
        await at.until("a", BotState.LOGGED_OUT)
        await nobody_is_half_there(at)
        await at.core.fleet.delete("a")
        await nobody_is_half_there(at)


@pytest.mark.parametrize("broken", ["at the beginning", "when its auth state is there"])
@pytest.mark.parametrize("fails", ["reads", "writes"])
async def test_an_import_that_fails_leaves_nothing_or_a_bot_that_can_be_deleted(
    tmp_path: Path, fails: str, broken: str
):
    content = await bundle(tmp_path)
    async with world(tmp_path / "db") as at:
        disk = Failing(at.database) if fails == "writes" else FailingReads(at)
        disk.broken = broken == "at the beginning"
        plain = at.transports.adopt

        async def adopt(bot: Any, state: bytes) -> None:
            await plain(bot, state)
            disk.broken = True

        at.transports.adopt = adopt  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await at.core.moving.bring(content, SECRET)
        at.transports.adopt = plain  # type: ignore[method-assign]
        disk.broken = False
        assert not at.transports.occupied  # no auth state that nobody knows of
        if await at.core.fleet.list():  # it could not be taken back
            assert (await at.core.fleet.get("shop")).code == "importing"
            await at.core.fleet.delete("shop")
        await nobody_is_half_there(at)
        view = await at.core.moving.bring(content, SECRET)
        assert view.identity == ALICE
        await nobody_is_half_there(at)


async def test_auth_state_that_the_database_does_not_know_is_not_taken_for_the_new_bots(tmp_path: Path):
    transports = ScriptedTransports()
    transports.occupied.add("shop")  # the database was lost, the folder was not
    async with world(tmp_path / "db", transports=transports) as at:
        with pytest.raises(AuthStateFound, match=r'"adopt".*"destroy"') as refused:
            await at.core.fleet.create("shop")
        assert refused.value.field == "auth_state"
        assert await at.core.fleet.list() == []
        await nobody_is_half_there(at)
        await at.core.fleet.create("shop", auth_state=AuthState.ADOPT)
        await at.until("shop", BotState.CONNECTED)
        assert at.transports.forgotten == []
        await at.core.fleet.delete("shop")
        transports.occupied.add("shop")
        await at.core.fleet.create("shop", auth_state=AuthState.DESTROY)
        assert at.transports.forgotten == ["shop", "shop"]
        await eventually(lambda: at.transports["shop"].running)
        assert (await at.core.fleet.get("shop")).identity.phone is None


async def test_whoever_follows_the_events_learns_of_new_and_deleted_bots(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        follower = at.core.live.follower(0, types=["bot.created", "bot.deleted"])
        await at.core.fleet.create("a", "Shop", autostart=False)
        [told] = await follower.batch()
        assert (told.bot, told.data["name"], told.data["state"]) == ("a", "Shop", "stopped")
        await at.core.fleet.delete("a")
        [told] = await follower.batch()
        assert (told.type.value, told.data) == ("bot.deleted", {"id": "a", "name": "Shop"})
        content = await bundle(tmp_path)
        await at.core.moving.bring(content, SECRET, start=False)
        [told] = await follower.batch()
        assert (told.type.value, told.bot, told.data["phone"]) == ("bot.created", "shop", ALICE.phone)


async def test_two_who_make_the_same_bot_at_once_make_one(tmp_path: Path):
    content = await bundle(tmp_path)
    async with world(tmp_path / "db") as at:
        ends = await asyncio.gather(
            at.core.fleet.create("shop", autostart=False),
            at.core.moving.bring(content, SECRET),
            at.core.fleet.create("shop"),
            return_exceptions=True,
        )
        assert sorted(isinstance(end, Conflict) for end in ends) == [False, True, True]
        await nobody_is_half_there(at)
