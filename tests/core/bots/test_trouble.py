"""A database that fails for a while, and a transport that does not stop as it should."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.core.scripted import PHONE, QUICK, Failing, World, eventually, give, text, world
from zapwire.core.bots.connection import Connection
from zapwire.core.bots.supervisor import Supervisor
from zapwire.model import timestamps
from zapwire.model.bots import BotState, Restriction
from zapwire.model.content.text import TextContent
from zapwire.model.errors import Interrupted, LoggedOut, StoreError, TooMany, TransportError
from zapwire.model.messages import MessageState, Outgoing, Sent
from zapwire.transport.protocol import Disconnected, Emit


async def connected(at: World) -> None:
    await at.core.bots.create("bot")
    await at.until("bot", BotState.CONNECTED)


async def test_what_was_sent_is_recorded_once_the_database_works_again(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        disk = Failing(at.database)

        async def answer(message: Outgoing) -> Sent:
            await go.wait()
            disk.broken = message.content.text == "first"
            return Sent(message.content.text, datetime.now(UTC))

        go = asyncio.Event()
        at.transports["bot"].answer = answer
        submit = at.core.outbox.submit
        messages = [await submit("bot", PHONE, TextContent(text=body)) for body in ("first", "second")]
        go.set()
        await eventually(lambda: disk.failures >= 4)
        assert [sent.content.text for sent in at.transports["bot"].sent] == ["first"]
        disk.broken = False
        for message in messages:
            assert (await at.core.outbox.wait("bot", message.id, 10)).state is MessageState.SENT
        assert [sent.content.text for sent in at.transports["bot"].sent] == ["first", "second"]


async def test_what_came_in_is_stored_once_the_database_works_again(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        disk = Failing(at.database, broken=True)
        telling = asyncio.create_task(at.tell("bot", text("A")))
        await eventually(lambda: disk.failures >= 2)
        assert not telling.done()
        disk.broken = False
        await telling
        assert [event.data["id"] for event in await at.events("message.received")] == ["A"]
        assert at.transports["bot"].runs == 1


async def test_a_database_that_may_only_be_read_is_noticed_takes_nothing_and_recovers(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.database._writer.call(lambda sql: sql.execute("PRAGMA query_only = ON"))
        with pytest.raises(StoreError, match="readonly"):
            await at.core.check()
        telling = [asyncio.create_task(at.tell("bot", text(f"A{number}"))) for number in range(20)]
        follower = at.core.subscriptions.follower(0, types=["message.received"])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await follower.batch()
        await at.database._writer.call(lambda sql: sql.execute("PRAGMA query_only = OFF"))
        await asyncio.gather(*telling)
        await at.core.check()
        told = [event.data["id"] for event in await at.events("message.received")]
        assert told == [f"A{number}" for number in range(20)]


async def test_a_database_that_stays_broken_ends_the_connection_which_is_made_anew(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, store_patience=0.0)) as at:
        await connected(at)
        disk = Failing(at.database, broken=True)
        at.transports["bot"].script.put_nowait(Disconnected("lost"))
        await eventually(lambda: at.transports["bot"].runs > 1)
        disk.broken = False
        await at.until("bot", BotState.CONNECTED)


async def test_stopping_ends_a_transport_that_fails_while_it_stops(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        transport = at.transports["bot"]
        plain = transport.run

        async def stubborn(emit: Emit) -> None:
            try:
                await plain(emit)
            except asyncio.CancelledError:
                raise TransportError("the connection broke while it was closed") from None

        transport.run = stubborn  # type: ignore[method-assign]
        await at.core.bots.get("bot").restart()
        await eventually(lambda: transport.runs == 2 and transport.running == 1)
        await at.core.bots.get("bot").disconnect()
        async with asyncio.timeout(5):
            await at.core.bots.delete("bot")
        assert (transport.runs, transport.running) == (3, 0)  # the last one was to unlink


async def test_a_repeated_request_is_answered_even_when_the_queue_is_full(tmp_path: Path):
    async with world(tmp_path / "db", limits=replace(QUICK, queued_per_bot=1)) as at:
        await at.core.bots.create("bot")
        submit = at.core.outbox.submit
        first = await submit("bot", PHONE, TextContent(text="hi"), idempotency_key="k")
        assert (await submit("bot", PHONE, TextContent(text="hi"), idempotency_key="k")).id == first.id
        for key in ("other", None):
            with pytest.raises(TooMany):
                await submit("bot", PHONE, TextContent(text="hi"), idempotency_key=key)
        rows = await at.database.read(lambda sql: sql.sql.execute("SELECT count(*) FROM outbox").fetchone())
        assert rows == (1,)


async def test_a_token_is_good_on_a_full_disk(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        token, secret = await at.core.tokens.create("me")
        disk = Failing(at.database, broken=True)
        found = await at.core.tokens.check(secret)
        assert found is not None
        assert found.id == token.id
        assert disk.failures >= 1  # the housekeeping may have met it too
        with pytest.raises(StoreError):
            await at.core.tokens.create("other")
        disk.broken = False


@pytest.mark.parametrize("way", ["phone", "api"])
async def test_a_logout_is_told_once_the_database_works_again(tmp_path: Path, way: str):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        disk = Failing(at.database)
        if way == "phone":
            disk.broken = True
            at.transports["bot"].script.put_nowait(LoggedOut("removed", action="pair again"))
        else:

            async def logout() -> None:
                disk.broken = True

            at.transports["bot"].logout = logout  # type: ignore[method-assign]
            await at.core.bots.get("bot").logout()
        await eventually(lambda: disk.failures >= 2)
        assert (at.core.bots.get("bot").view).state is BotState.CONNECTED
        disk.broken = False
        await at.until("bot", BotState.LOGGED_OUT)


@pytest.mark.parametrize("where", ["supervisor", "connection"])
async def test_a_mistake_of_ours_costs_one_bot_a_new_beginning_and_no_other_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, where: str
):
    owner, name = (Supervisor, "_new_connection") if where == "supervisor" else (Connection, "_sit_out")
    plain, broken = getattr(owner, name), {"first": 2}

    def fail(self: Any, *arguments: Any, **more: Any) -> Any:
        if broken.get(self._current.bot, 0) > 0:
            broken[self._current.bot] -= 1
            raise RuntimeError("an internal error")
        return plain(self, *arguments, **more)

    monkeypatch.setattr(owner, name, fail)
    async with world(tmp_path / "db", linked=True) as at:
        for bot in ("first", "second"):
            await at.core.bots.create(bot)
        await at.until("second", BotState.CONNECTED)
        await at.until("first", BotState.CONNECTED)
        told = [(event.bot, event.data["code"]) for event in await at.events("bot.state") if event.data["code"]]
        assert told == [("first", "internal")] * 2
        assert caplog.text.count("restarting its supervisor") == 2
        assert at.transports["second"].runs == 1
        await at.core.bots.delete("first")


async def test_a_connection_that_a_stranger_ends_is_made_anew_at_once_and_is_no_failure(tmp_path: Path):
    limits = replace(QUICK, backoff_first=3600, backoff_most=3600)
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        await connected(at)
        transport = at.transports["bot"]
        for runs in range(2, 12):
            await transport.script.put(Interrupted("somebody sent a receipt that the engine cannot tell"))
            await eventually(lambda runs=runs: transport.runs == runs)
        await at.until("bot", BotState.CONNECTED)


@pytest.mark.parametrize("order", ["connect", "disconnect", "restart", "logout", "delete"])
async def test_an_order_ends_the_pause_after_an_internal_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: str
):
    plain, broken = Supervisor._new_connection, [True]

    def fail(self: Supervisor, **more: Any) -> Connection:
        if broken[0]:
            raise RuntimeError("an internal error")
        return plain(self, **more)

    monkeypatch.setattr(Supervisor, "_new_connection", fail)
    patient = replace(QUICK, backoff_first=300, backoff_most=300)
    async with world(tmp_path / "db", linked=True, limits=patient) as at, asyncio.timeout(10):
        await at.core.bots.create("bot")
        assert (await at.until("bot", BotState.RECONNECTING)).code == "internal"
        broken[0] = False
        await give(at, "bot", order)
        if order == "delete":
            assert await at.core.bots.list() == []
        else:
            ends = {"disconnect": BotState.STOPPED, "logout": BotState.LOGGED_OUT}
            await at.until("bot", ends.get(order, BotState.CONNECTED))


async def test_a_deletion_that_meets_an_internal_error_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.core.bots.get("bot").disconnect()

        async def fail(self: Supervisor, *, force: bool) -> Any:
            raise RuntimeError("an internal error")

        with monkeypatch.context() as patch:
            patch.setattr(Supervisor, "_unlink", fail)
            with pytest.raises(RuntimeError, match="an internal error"):
                await at.core.bots.delete("bot")
        assert (at.core.bots.get("bot").view).state is BotState.STOPPED
        await at.core.bots.get("bot").connect()
        await at.until("bot", BotState.CONNECTED)
        await at.core.bots.delete("bot")


async def test_of_two_quick_changes_of_a_restriction_the_newest_is_stored_last(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        disk, bot = Failing(at.database, broken=True), at.core.bots.get("bot")
        older = Restriction("rate", "too many", timestamps.now(), None, 429)
        bot._note_restriction(older)
        await eventually(lambda: disk.failures >= 1)
        bot._note_restriction(None)
        bot._note_restriction(newest := replace(older, kind="first-messages", error=463))
        assert len(bot.current._tasks) == 1  # one writer, however many changes
        disk.broken = False
        await bot.current.settled()
        [row] = await at.database.read(lambda unit: unit.bots.all_bots())
        assert row.restriction is not None
        assert (row.restriction.kind, row.restriction.error) == (newest.kind, newest.error)
        assert bot.view.restriction == newest


async def test_a_restriction_that_cannot_be_stored_is_said_and_the_next_one_is_stored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, store_patience=0.0)) as at:
        await connected(at)
        disk, bot = Failing(at.database, broken=True), at.core.bots.get("bot")
        bot._note_restriction(Restriction("rate", "too many", timestamps.now(), None, 429))
        await bot.current.settled()
        assert "task restriction-bot failed" in caplog.text
        disk.broken = False
        bot._note_restriction(newest := Restriction("rate", "still too many", timestamps.now(), None, 429))
        await bot.current.settled()
        assert bot.view.restriction == newest
