"""Bots leave as a bundle and come in as one, and never run in two places."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.core.scripted import CHAT, QUICK, ScriptedTransports, World, eventually, give, paired, world
from zapwire.core.bots import registry, transfer
from zapwire.model.bots import BotId, BotState, Wanted
from zapwire.model.content.text import TextContent
from zapwire.model.errors import Conflict, InvalidInput, NotFound

SECRET = "correct horse battery"


async def linked(here: World, bot: str = "shop") -> None:
    await here.core.bots.create(bot, "Corner Shop")
    await here.tell(bot, paired())
    here.transports[bot].linked = True
    await here.core.bots.get(bot).restart()
    await here.until(bot, BotState.CONNECTED)


async def test_a_move_stops_the_bot_for_good(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        content = await here.core.transfer.export("shop", SECRET, move=True)
        assert here.transports["shop"].running == 0
        bot = here.core.bots.get("shop").view
        assert (bot.state, bot.code) == (BotState.STOPPED, "moved")
        assert "import its bundle" in (bot.action or "")
        shop = here.core.bots.get("shop")
        for command in (shop.connect, shop.restart, shop.logout):
            with pytest.raises(Conflict, match="moved to another installation"):
                await command()
        assert (await here.core.bots.get("shop").disconnect()).code == "moved"
        again = await here.core.transfer.export("shop", SECRET, move=True)  # the first answer may have got lost
        assert again != content
    async with world(tmp_path / "db", linked=True) as here:  # nor after a restart
        bot = here.core.bots.get("shop").view
        assert (bot.state, bot.code, here.transports["shop"].runs) == (BotState.STOPPED, "moved", 0)
        await here.core.bots.delete("shop")
        assert here.transports.forgotten == ["shop"]
    async with world(tmp_path / "there") as there:
        bot = await there.core.transfer.bring(content, SECRET)
        assert (bot.id, bot.name, bot.identity.phone) == ("shop", "Corner Shop", "+4915100000001")
        assert there.transports.adopted == {"shop": b"state of shop"}
        await there.until("shop", BotState.CONNECTED)


async def test_a_bundle_brings_a_moved_bot_back(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        content = await here.core.transfer.export("shop", SECRET, move=True)
        with pytest.raises(Conflict, match="linked to the bot shop here"):
            await here.core.transfer.bring(content, SECRET, bot="other")
        await here.core.transfer.bring(content, SECRET)
        await here.until("shop", BotState.CONNECTED)
        assert here.transports.forgotten == ["shop"]


async def test_a_copy_leaves_the_bot_running_and_is_refused_beside_it(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        content = await here.core.transfer.export("shop", SECRET, move=False)
        assert (here.core.bots.get("shop").view).state is BotState.CONNECTED
        with pytest.raises(Conflict, match="a bot with this id already"):
            await here.core.transfer.bring(content, SECRET)
        with pytest.raises(Conflict, match="two copies of one device break each other"):
            await here.core.transfer.bring(content, SECRET, bot="second")
        assert [bot.id for bot in await here.core.bots.list()] == ["shop"]
        with pytest.raises(InvalidInput) as wrong:
            await here.core.transfer.bring(content, "another passphrase")
        assert wrong.value.field == "passphrase"
        for bad in (content[:-1], content + b"x", b"junk"):
            with pytest.raises(InvalidInput) as error:
                await here.core.transfer.bring(bad, SECRET)
            assert error.value.field == "bundle"


async def test_what_cannot_be_exported(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await here.core.bots.create("shop")
        with pytest.raises(Conflict, match="nothing to export"):
            await here.core.transfer.export("shop", SECRET, move=True)
        with pytest.raises(NotFound):
            await here.core.transfer.export("nobody", SECRET, move=False)
        with pytest.raises(InvalidInput, match="at least 12") as error:
            await here.core.transfer.export("shop", "short", move=False)
        assert error.value.field == "passphrase"


async def test_a_failed_import_leaves_no_bot_and_touches_no_file(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        content = await here.core.transfer.export("shop", SECRET, move=False)
    async with world(tmp_path / "there") as there:
        there.transports.occupied.add("shop")
        with pytest.raises(Conflict, match="auth file already"):
            await there.core.transfer.bring(content, SECRET)
        assert await there.core.bots.list() == []
        assert await there.database.read(lambda unit: unit.bots.all_bots()) == []
        assert there.transports.forgotten == []
        there.transports.occupied.clear()
        assert (await there.core.transfer.bring(content, SECRET, start=False)).state is BotState.STOPPED


async def test_an_import_that_is_cut_short_leaves_no_bot_and_nobody_sees_it_before_it_is_whole(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        content = await here.core.transfer.export("shop", SECRET, move=True)
    async with world(tmp_path / "there") as there:
        there.transports.adopt = lambda *_: asyncio.Event().wait()  # type: ignore[assignment, method-assign]
        bring = asyncio.create_task(there.core.transfer.bring(content, SECRET))
        await eventually(lambda: there.database.read(lambda unit: unit.bots.all_bots()))
        assert await there.core.bots.list() == []
        with pytest.raises(Conflict):
            await there.core.bots.create("shop")
    assert bring.done()
    async with world(tmp_path / "there") as there:
        assert await there.core.bots.list() == []


async def test_after_a_crash_in_an_import_its_action_leads_out_and_the_device_stays_linked(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        content = await here.core.transfer.export("shop", SECRET, move=True)
        row = replace(here.core.bots.get("shop").current.row, wanted=Wanted.STOPPED, halt=registry.HALF)
    async with world(tmp_path / "there") as there:  # what stands in the database until the auth state is there, too
        await there.database.write(lambda transaction: transaction.bots.insert(row))
        await there.database.write(lambda transaction: transaction.bots.update(row))
    async with world(tmp_path / "there", linked=True) as there:
        bot = there.core.bots.get("shop").view
        assert (bot.state, bot.reason) == (BotState.BLOCKED, "its import is not finished")
        assert bot.action == "delete the bot and import the bundle again"
        assert bot.actions == ("delete",)
        await there.core.bots.delete("shop")
        assert there.transports["shop"].runs == 0  # unlinked over a connection, the bundle would be worth nothing
        assert there.transports.forgotten == ["shop"]
        await there.core.transfer.bring(content, SECRET)
        await there.until("shop", BotState.CONNECTED)


async def test_one_account_that_is_brought_twice_at_once_arrives_once(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        content = await here.core.transfer.export("shop", SECRET, move=True)
    async with world(tmp_path / "there") as there:
        bring = there.core.transfer.bring
        ends = await asyncio.gather(*(bring(content, SECRET, bot=bot) for bot in "abcd"), return_exceptions=True)
        assert sorted(type(end).__name__ for end in ends) == ["BotView", "Conflict", "Conflict", "Conflict"]
        assert len(await there.core.bots.list()) == 1


class TryingProxies(ScriptedTransports):
    async def try_proxy(self, proxy: object) -> None:
        """All work."""


async def test_the_proxy_travels_along(tmp_path: Path):
    url = "socks5://user:password@proxy.example:1080"
    async with world(tmp_path / "db", transports=TryingProxies()) as here:
        await linked(here)
        await here.core.bots.get("shop").change(proxy=url, proxy_check=False)
        content = await here.core.transfer.export("shop", SECRET, move=True)
    async with world(tmp_path / "there", transports=TryingProxies()) as there:
        await there.core.transfer.bring(content, SECRET)
        [row] = await there.database.read(lambda unit: unit.bots.all_bots())
        assert row.proxy is not None
        assert row.proxy.url == url


async def test_what_no_import_would_take_is_not_given_and_moves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with world(tmp_path / "db") as here:
        await linked(here)
        monkeypatch.setattr(transfer, "LARGEST", 100)
        with pytest.raises(Conflict, match="an import takes 100 at most"):
            await here.core.transfer.export("shop", SECRET, move=True)
        assert (here.core.bots.get("shop").view).code is None
        await here.core.bots.get("shop").connect()
        await here.until("shop", BotState.CONNECTED)


@pytest.mark.parametrize("when", ["while its connection ends", "while its state is copied"])
@pytest.mark.parametrize("order", ["connect", "disconnect", "restart", "logout", "delete"])
async def test_an_order_that_comes_during_a_move_ends_it(tmp_path: Path, order: str, when: str):
    async with world(tmp_path / "db") as here:
        await linked(here)
        transport, copying, goes_on = here.transports["shop"], asyncio.Event(), asyncio.Event()
        transport.stop_turns = 50
        plain = here.transports.state

        async def state(bot: BotId, *, at_rest: bool) -> bytes:
            copying.set()
            await goes_on.wait()
            return await plain(bot, at_rest=False)

        here.transports.state = state  # type: ignore[method-assign]
        export = asyncio.create_task(here.core.transfer.export("shop", SECRET, move=True))
        if when == "while its state is copied":
            await copying.wait()
        else:
            await here.until("shop", BotState.STOPPED)
            assert transport.running == 1  # it takes a while
        current = here.core.bots.get("shop").current
        mine = current.epoch
        ordered = asyncio.create_task(give(here, "shop", order))
        await eventually(lambda: current.epoch > mine)
        goes_on.set()
        async with asyncio.timeout(10):
            with pytest.raises((Conflict, NotFound) if order == "delete" else Conflict):
                await export
            await ordered
        if order == "delete":
            assert not here.core.bots.has("shop")
            return
        state_then = {"connect": BotState.CONNECTED, "restart": BotState.CONNECTED, "logout": BotState.LOGGED_OUT}
        view = await here.until("shop", state_then.get(order, BotState.STOPPED))
        assert view.code != "moved"
        await here.core.bots.get("shop").disconnect()  # does not wake anything up that was waiting
        await eventually(lambda: transport.running == 0)
        assert (here.core.bots.get("shop").view).code != "moved"


async def test_a_caller_who_goes_away_during_a_move_moves_nothing(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        here.transports["shop"].stop_turns = 50
        export = asyncio.create_task(here.core.transfer.export("shop", SECRET, move=True))
        await here.until("shop", BotState.STOPPED)
        export.cancel()
        await asyncio.wait([export])
        await eventually(lambda: here.transports["shop"].running == 0)
        assert (here.core.bots.get("shop").view).code is None
        await here.core.bots.get("shop").connect()
        await here.until("shop", BotState.CONNECTED)


async def test_a_move_of_a_bot_whose_connection_does_not_end_is_given_up(tmp_path: Path):
    async with world(tmp_path / "db", limits=replace(QUICK, move_time=0.05)) as here:
        await linked(here)
        here.transports["shop"].stop_turns = 10**9
        with pytest.raises(Conflict, match="does not end"):
            await here.core.transfer.export("shop", SECRET, move=True)
        here.transports["shop"].stop_turns = 0


async def test_messages_wait_while_a_bot_moves(tmp_path: Path):
    async with world(tmp_path / "db") as here:
        await linked(here)
        await here.core.transfer.export("shop", SECRET, move=True)
        message = await here.core.outbox.submit("shop", CHAT, TextContent(text="hi"))
        assert message.state.value == "queued"
        assert here.transports["shop"].sent == []
