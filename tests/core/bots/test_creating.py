"""A bot is there or it is not, whatever fails while it is made, imported or deleted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.core.scripted import ALICE, KEYS, Failing, ScriptedTransports, World, eventually, paired, world
from zapwire.core.bots.registry import AuthState
from zapwire.core.wiring import open_core
from zapwire.model.bots import BotState, TransportKind
from zapwire.model.errors import AuthStateFound, Conflict, NotFound, NotSupported, StoreError
from zapwire.store.sqlite.database import Database
from zapwire.transport.registry import TransportRegistry

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
    rows = await at.database.read(lambda unit: unit.bots.all_bots())
    assert sorted(row.id for row in rows) == sorted(view.id for view in await at.core.bots.list())
    assert set(at.core.outbox._workers) == {row.id for row in rows}


async def bundle(tmp_path: Path) -> bytes:
    async with world(tmp_path / "elsewhere") as at:
        await at.core.bots.create("shop")
        await at.tell("shop", paired())
        return await at.core.transfer.export("shop", SECRET, move=False)


@pytest.mark.parametrize("fails", ["reads", "writes"])
async def test_a_bot_that_cannot_be_made_is_not_there_and_can_be_made_later(tmp_path: Path, fails: str):
    async with world(tmp_path / "db") as at:
        disk = Failing(at.database, broken=True) if fails == "writes" else FailingReads(at)
        with pytest.raises(StoreError):
            await at.core.bots.create("a")
        disk.broken = False
        with pytest.raises(NotFound):
            at.core.bots.get("a")
        await nobody_is_half_there(at)
        await at.core.bots.create("a")
        await at.core.bots.delete("a")
        await nobody_is_half_there(at)


async def test_a_bot_that_cannot_be_deleted_stays_and_can_be_deleted_later(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
        disk, plain = Failing(at.database), at.transports.forget

        async def forget(bot: Any) -> None:
            disk.broken = True
            await plain(bot)

        at.transports.forget = forget  # type: ignore[method-assign]
        with pytest.raises(StoreError):
            await at.core.bots.delete("a")
        assert (at.core.bots.get("a").view).id == "a"
        at.transports.forget = plain  # type: ignore[method-assign]
        disk.broken = False
        await at.until("a", BotState.LOGGED_OUT)
        await nobody_is_half_there(at)
        await at.core.bots.delete("a")
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
            await at.core.transfer.bring(content, SECRET)
        at.transports.adopt = plain  # type: ignore[method-assign]
        disk.broken = False
        assert not at.transports.occupied  # no auth state that nobody knows of
        if await at.core.bots.list():  # it could not be taken back
            assert (at.core.bots.get("shop").view).code == "importing"
            await at.core.bots.delete("shop")
        await nobody_is_half_there(at)
        view = await at.core.transfer.bring(content, SECRET)
        assert view.identity == ALICE
        await nobody_is_half_there(at)


async def test_auth_state_that_the_database_does_not_know_is_not_taken_for_the_new_bots(tmp_path: Path):
    transports = ScriptedTransports()
    transports.occupied.add("shop")  # the database was lost, the folder was not
    async with world(tmp_path / "db", transports=transports) as at:
        with pytest.raises(AuthStateFound, match=r'"adopt".*"destroy"') as refused:
            await at.core.bots.create("shop")
        assert refused.value.field == "auth_state"
        assert await at.core.bots.list() == []
        await nobody_is_half_there(at)
        await at.core.bots.create("shop", auth_state=AuthState.ADOPT)
        await at.until("shop", BotState.CONNECTED)
        assert at.transports.forgotten == []
        await at.core.bots.delete("shop")
        transports.occupied.add("shop")
        await at.core.bots.create("shop", auth_state=AuthState.DESTROY)
        assert at.transports.forgotten == ["shop", "shop"]
        await eventually(lambda: at.transports["shop"].running)
        assert (at.core.bots.get("shop").view).identity.phone is None


async def test_whoever_follows_the_events_learns_of_new_and_deleted_bots(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        follower = at.core.subscriptions.follower(0, types=["bot.created", "bot.deleted"])
        await at.core.bots.create("a", "Shop", autostart=False)
        [told] = await follower.batch()
        assert (told.bot, told.data["name"], told.data["state"]) == ("a", "Shop", "stopped")
        await at.core.bots.delete("a")
        [told] = await follower.batch()
        assert (told.type.value, told.data) == ("bot.deleted", {"id": "a", "name": "Shop"})
        content = await bundle(tmp_path)
        await at.core.transfer.bring(content, SECRET, start=False)
        [told] = await follower.batch()
        assert (told.type.value, told.bot, told.data["phone"]) == ("bot.created", "shop", ALICE.phone)


async def test_two_who_make_the_same_bot_at_once_make_one(tmp_path: Path):
    content = await bundle(tmp_path)
    async with world(tmp_path / "db") as at:
        ends = await asyncio.gather(
            at.core.bots.create("shop", autostart=False),
            at.core.transfer.bring(content, SECRET),
            at.core.bots.create("shop"),
            return_exceptions=True,
        )
        assert sorted(isinstance(end, Conflict) for end in ends) == [False, True, True]
        await nobody_is_half_there(at)


async def test_a_bot_whose_transport_is_missing_is_blocked_and_harms_no_other(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
    async with Database.open(tmp_path / "db", KEYS) as database, open_core(database, TransportRegistry({})) as core:
        async with asyncio.timeout(10):
            while (view := core.bots.get("a").view).state is not BotState.BLOCKED:
                await core.bots.get("a").current.changed.wait()
        assert (view.code, view.transport) == ("transport-missing", TransportKind.WHATSAPP_WEB)
        with pytest.raises(NotSupported):
            await core.bots.create("b")
        await core.bots.delete("a")
        assert await core.bots.list() == []
