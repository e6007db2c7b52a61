"""A bot's life with a scripted connection: states, orders, QR codes, limits."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.core.scripted import ALICE, PHONE, QUICK, ScriptedTransports, World, paired, qr, text, world
from zapwire.core.bots import status
from zapwire.core.tuning import Tuning
from zapwire.model.bots import BotState, Identity
from zapwire.model.content.text import TextContent
from zapwire.model.errors import (
    Blocked,
    Conflict,
    InvalidInput,
    LoggedOut,
    NotFound,
    NotSupported,
    PairingTimedOut,
    TooMany,
    TransportError,
)
from zapwire.transport.protocol import Capabilities, Connected, Disconnected


async def states(at: World) -> list[str]:
    return [event.data["state"] for event in await at.events("bot.state")]


async def test_a_new_bot_pairs_and_connects_and_each_step_is_told(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        made = await at.core.bots.create("shop", "Shop")
        assert (made.id, made.name, made.state) == ("shop", "Shop", BotState.STARTING)
        waiting = asyncio.create_task(at.core.bots.get("shop").qr(10))
        first = qr()
        await at.tell("shop", first)
        assert await waiting == first
        await at.tell("shop", paired())
        await at.tell("shop", Connected(Identity(push_name="Alice B")))
        view = at.core.bots.get("shop").view
        assert view.state is BotState.CONNECTED
        assert view.identity == replace(ALICE, push_name="Alice B")
        assert await states(at) == ["starting", "pairing", "starting", "connected"]
        assert [event.data["code"] for event in await at.events("bot.qr")] == ["2@code1"]
        with pytest.raises(Conflict, match="is connected"):
            await at.core.bots.get("shop").qr(0)


async def test_without_autostart_a_bot_waits_for_an_order(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        made = await at.core.bots.create(autostart=False)
        assert made.state is BotState.STOPPED
        assert made.id.startswith("bot-")
        assert made.name == made.id
        with pytest.raises(Conflict, match="connect it first"):
            await at.core.bots.get(made.id).qr(5)
        assert (await at.core.bots.get(made.id).connect()).state is BotState.STARTING
        await at.tell(made.id, qr())
        assert (await at.core.bots.get(made.id).qr(0)).attempt == 1
        assert (await at.core.bots.get(made.id).disconnect()).state is BotState.STOPPED
        with pytest.raises(Conflict, match="connect it first"):
            await at.core.bots.get(made.id).qr(0)


@pytest.mark.parametrize("bad", ["", "-a", "A", "a_b", "a" * 64, "../x", "a\n", "ä"])
async def test_an_id_that_is_no_slug_makes_nothing(tmp_path: Path, bad: str):
    async with world(tmp_path / "db") as at:
        with pytest.raises(InvalidInput) as caught:
            await at.core.bots.create(bad)
        assert caught.value.field == "id"
        assert await at.core.bots.list() == []
        with pytest.raises(NotFound):
            at.core.bots.get(bad)


async def test_an_id_is_taken_once(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        answers = await asyncio.gather(*(at.core.bots.create("a") for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(answer, Conflict) for answer in answers) == 4
        assert len(await at.core.bots.list()) == 1
        with pytest.raises(InvalidInput):
            await at.core.bots.create("b", "  ")


async def test_a_code_that_expired_is_not_shown(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        await at.core.bots.create("a")
        await at.tell("a", qr(1, seconds=-1))
        with pytest.raises(Conflict, match="no QR code yet"):
            await at.core.bots.get("a").qr(0)
        waiting = asyncio.create_task(at.core.bots.get("a").qr(10))
        await asyncio.sleep(0)
        await at.tell("a", qr(2))
        assert (await waiting).attempt == 2
        await at.core.bots.get("a").change(name="still shows its code")
        assert (await at.core.bots.get("a").qr(0)).attempt == 2


async def test_pairing_times_out_and_a_refresh_starts_over(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        await at.core.bots.create("a")
        await at.tell("a", qr())
        waiting = asyncio.create_task(at.core.bots.get("a").qr(0))
        await waiting
        at.transports["a"].script.put_nowait(PairingTimedOut("all codes ran out", action="connect it again"))
        view = await at.until("a", BotState.PAIRING_TIMED_OUT)
        assert (view.reason, view.action) == ("pairing timed out", "connect it again")
        with pytest.raises(Conflict, match="timed out"):
            await at.core.bots.get("a").qr(10)
        assert (await at.core.bots.get("a").restart(pairing=True)).state is BotState.STARTING
        await at.tell("a", qr(1))
        assert (await at.core.bots.get("a").qr(0)).attempt == 1
        assert at.transports["a"].runs == 2


async def test_a_failure_says_when_the_next_try_is_and_connect_tries_now(tmp_path: Path):
    async with world(tmp_path / "db", limits=replace(QUICK, backoff_first=200, backoff_most=300)) as at:
        await at.core.bots.create("a")
        at.transports["a"].script.put_nowait(TransportError("cannot reach WhatsApp: connection refused"))
        view = await at.until("a", BotState.RECONNECTING)
        assert view.reason is not None
        assert view.reason.startswith("cannot reach WhatsApp: connection refused; next attempt in ")
        assert view.next_attempt_at is not None
        assert timedelta(seconds=150) < view.next_attempt_at - datetime.now(UTC) < timedelta(seconds=250)
        assert at.transports["a"].runs == 1
        await at.core.bots.get("a").connect()
        await at.tell("a", Connected(ALICE))
        assert at.transports["a"].runs == 2


async def test_an_unexpected_error_is_a_failure_like_any_other(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        await at.core.bots.create("a")
        at.transports["a"].script.put_nowait(RuntimeError("a bug"))
        view = await at.until("a", BotState.RECONNECTING)
        assert "internal error" in (view.reason or "")
        await at.tell("a", Connected(ALICE))
        assert (at.core.bots.get("a").view).state is BotState.CONNECTED


def test_backoff_doubles_to_a_bound_and_varies():
    limits, chance = Tuning(), random.Random(1)
    delays = [status.backoff(failures, limits, chance) for failures in range(1, 2000)]
    assert 0.8 <= delays[0] <= 1.2
    assert 1.6 <= delays[1] <= 2.4
    assert all(240 <= delay <= 360 for delay in delays[9:])
    assert len(set(delays)) > 1900


async def test_a_transport_that_mends_itself_is_reconnecting_until_it_is_back(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
        await at.tell("a", Disconnected("the server closed the connection"))
        view = at.core.bots.get("a").view
        assert (view.state, view.next_attempt_at) == (BotState.RECONNECTING, None)
        assert (view.reason or "").startswith("the server closed the connection; the engine retries by itself")
        with pytest.raises(Conflict, match="is linked"):
            await at.core.bots.get("a").qr(10)
        await at.tell("a", Connected(ALICE))
        await at.tell("a", Connected(ALICE))
        assert await states(at) == ["starting", "connected", "reconnecting", "connected"]
        assert at.transports["a"].runs == 1


async def test_a_logout_from_the_phone_outlives_a_restart_until_a_person_connects(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
        at.transports["a"].script.put_nowait(LoggedOut("the phone removed this device", action="pair again"))
        await at.until("a", BotState.LOGGED_OUT)
        assert at.transports.forgotten == ["a"]
    async with world(tmp_path / "db") as at:
        view = at.core.bots.get("a").view
        assert (view.state, view.reason, view.action) == (
            BotState.LOGGED_OUT,
            "the phone removed this device",
            "pair again",
        )
        assert view.identity == Identity()
        with pytest.raises(Conflict, match="logged out"):
            await at.core.bots.get("a").qr(10)
        assert at.transports["a"].runs == 0
        await at.core.bots.get("a").connect()
        await at.tell("a", qr())
        assert (at.core.bots.get("a").view).state is BotState.PAIRING
    async with world(tmp_path / "db") as at:
        await at.tell("a", qr())
        assert (at.core.bots.get("a").view).state is BotState.PAIRING


async def test_a_blocked_bot_says_what_to_do(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        await at.core.bots.create("a")
        at.transports["a"].script.put_nowait(Blocked("banned for 12 hours", action="wait until tomorrow"))
        view = await at.until("a", BotState.BLOCKED)
        assert view.action == "wait until tomorrow"
        with pytest.raises(Conflict, match="wait until tomorrow"):
            await at.core.bots.get("a").qr(10)


async def test_logout_unlinks_while_connected_and_the_next_connect_pairs_anew(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
        with pytest.raises(Conflict, match="log it out first"):
            await at.core.bots.get("a").restart(pairing=True)
        await at.core.bots.get("a").logout()
        view = await at.until("a", BotState.LOGGED_OUT)
        assert view.identity == Identity()
        assert at.transports["a"].logouts == 1
        assert at.transports["a"].running == 0
        await at.core.bots.get("a").connect()
        await at.tell("a", qr())
        assert (at.core.bots.get("a").view).state is BotState.PAIRING


async def test_a_logout_is_done_even_when_a_connect_follows_at_once(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
        await asyncio.gather(at.core.bots.get("a").logout(), at.core.bots.get("a").connect())
        await at.tell("a", qr())
        assert at.transports["a"].logouts == 1
        view = at.core.bots.get("a").view
        assert (view.state, view.identity) == (BotState.PAIRING, Identity())


async def test_wanted_bots_come_back_after_a_restart_and_others_do_not(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        for name, autostart in (("auto", True), ("manual", False), ("asked", False), ("stopped", True)):
            await at.core.bots.create(name, autostart=autostart)
        await at.core.bots.get("asked").connect()
        await at.core.bots.get("stopped").disconnect()
    async with world(tmp_path / "db", linked=True) as at:
        await at.until("auto", BotState.CONNECTED)
        await at.until("asked", BotState.CONNECTED)
        assert (at.core.bots.get("manual").view).state is BotState.STOPPED
        assert (at.core.bots.get("stopped").view).state is BotState.STOPPED
        assert [view.id for view in await at.core.bots.list()] == ["auto", "manual", "asked", "stopped"]
        await at.core.bots.get("stopped").change(autostart=True)
    async with world(tmp_path / "db", linked=True) as at:
        await at.until("stopped", BotState.CONNECTED)


async def test_delete_leaves_nothing_and_the_name_is_free_again(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
        await at.tell("a", text("A"))
        await at.core.outbox.submit("a", PHONE, TextContent(text="hi"))
        transport = at.transports["a"]
        gone = await asyncio.gather(*(at.core.bots.delete("a") for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in gone] == [type(None), Conflict, Conflict]
        with pytest.raises(NotFound):
            await at.core.bots.delete("a")
        assert (transport.running, transport.logouts, at.transports.forgotten) == (0, 1, ["a"])
        [told] = await at.events()
        assert (told.type.value, told.bot, told.data) == ("bot.deleted", "a", {"id": "a", "name": "a"})
        for table in ("bots", "messages", "outbox", "person_addresses"):
            rows = await at.database.read(
                lambda view, table=table: view.sql.execute(f"SELECT * FROM {table}").fetchall()
            )
            assert rows == []
        with pytest.raises(NotFound):
            await at.core.outbox.submit("a", PHONE, TextContent(text="hi"))
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)


async def test_a_bot_whose_auth_state_cannot_be_removed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")

        async def refuse(_: object, __: str) -> None:
            raise OSError("read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(ScriptedTransports, "forget", refuse)
            with pytest.raises(OSError, match="read-only"):
                await at.core.bots.delete("a")
        assert (at.core.bots.get("a").view).id == "a"
        await at.core.bots.delete("a")
        assert await at.core.bots.list() == []


async def test_a_person_cannot_hammer_whatsapp(tmp_path: Path):
    async with world(tmp_path / "db", limits=replace(QUICK, starts_per_minute=3)) as at:
        await at.core.bots.create("a", autostart=False)
        for _ in range(3):
            await at.core.bots.get("a").restart()
        with pytest.raises(TooMany) as caught:
            await at.core.bots.get("a").restart(pairing=True)
        assert 0 < (caught.value.retry_after or 0) <= 20
        await at.core.bots.get("a").connect()  # runs already: costs nothing
        await at.core.bots.get("a").disconnect()
        with pytest.raises(TooMany):
            await at.core.bots.get("a").connect()


async def test_a_pairing_code_is_given_while_pairing_only(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        await at.core.bots.create("a", autostart=False)
        with pytest.raises(Conflict, match="connect it first"):
            await at.core.bots.get("a").pairing_code(PHONE)
        await at.core.bots.get("a").connect()
        asked = asyncio.create_task(at.core.bots.get("a").pairing_code("+49 151 23456789"))
        await at.tell("a", qr())
        assert (await asked).code == "ABCD-EFGH"
        with pytest.raises(InvalidInput) as caught:
            await at.core.bots.get("a").pairing_code("12")
        assert caught.value.field == "phone"
        at.transports["a"].capabilities = Capabilities(pairing_qr=True)
        with pytest.raises(NotSupported):
            await at.core.bots.get("a").pairing_code(PHONE)


async def test_a_closing_connection_cannot_overwrite_a_newer_order(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.until("a", BotState.CONNECTED)
        emit = at.transports["a"].emit
        assert emit is not None
        await at.core.bots.get("a").disconnect()
        await emit(Connected(ALICE))
        await emit(qr())
        await emit(text("late"))
        assert (at.core.bots.get("a").view).state is BotState.STOPPED
        assert [event.type for event in (await at.events())[-2:]] == ["bot.state", "message.received"]


async def test_a_message_that_comes_twice_is_told_once_and_names_are_completed(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await at.core.bots.create("a")
        await at.tell("a", text("A"))
        await at.tell("a", text("A"))
        only_lid = text("B")
        bare = replace(only_lid.message.chat, phone=None, lid=None)
        await at.tell("a", replace(only_lid, message=replace(only_lid.message, chat=bare, sender=bare)))
        told = await at.events("message.received")
        assert [event.data["id"] for event in told] == ["A", "B"]
        assert told[1].data["chat"] == told[0].data["chat"]
        assert told[1].data["chat"]["phone"] == PHONE
        sent = await at.core.outbox.submit("a", PHONE, TextContent(text="hi"))
        assert sent.to.lid == "8000000000001@lid"
