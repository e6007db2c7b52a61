"""What a logout, from here or from the phone, does to the messages that wait; and that a crash does not undo it."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.core.scripted import ALICE, PHONE, QUICK, World, eventually, paired, qr, text, world
from zapwire.model.bots import BotId, BotState, Identity
from zapwire.model.content.text import TextContent
from zapwire.model.errors import (
    Blocked,
    Condition,
    Conflict,
    LoggedOut,
    NotConnected,
    NotUnlinked,
    TransportError,
)
from zapwire.model.events import Event, EventType
from zapwire.model.messages import MessageState, Outgoing, OutgoingView, Sent
from zapwire.transport.protocol import Connected, Disconnected

LOST = "the bot was logged out before it was sent"


async def linked(at: World) -> None:
    await at.core.bots.create("a")
    await at.until("a", BotState.CONNECTED)


async def say(at: World, body: str) -> OutgoingView:
    return await at.core.outbox.submit("a", PHONE, TextContent(text=body))


async def pair_anew(at: World) -> None:
    await at.core.bots.get("a").connect()
    await at.tell("a", qr())
    await at.tell("a", paired())
    await at.tell("a", Connected(ALICE))


async def ends(at: World, message: OutgoingView) -> list[tuple[str, str | None]]:
    told = [event.data for event in await at.events("message.status") if event.data["id"] == message.id]
    return [(data["state"], data["reason"]) for data in told]


@pytest.mark.parametrize("way", ["api", "phone", "lost"])
async def test_waiting_messages_do_not_go_out_through_the_next_account(tmp_path: Path, way: str):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        await at.tell("a", Disconnected("gone"))
        waiting = [await say(at, "one"), await say(at, "two")]
        told = asyncio.create_task(at.core.outbox.wait("a", waiting[0].id, 10))
        at.transports["a"].linked = way == "api"
        if way == "api":
            await at.core.bots.get("a").logout()
        elif way == "phone":
            at.transports["a"].script.put_nowait(LoggedOut("removed", action="pair again"))
        if way != "lost":
            await at.until("a", BotState.LOGGED_OUT)
        await pair_anew(at)
        assert (await told).state is MessageState.FAILED
        for message in waiting:
            view = await at.core.outbox.get("a", message.id)
            assert (view.state, view.reason) == (MessageState.FAILED, LOST)
            assert await ends(at, message) == [("failed", LOST)]
        new = await say(at, "to the new account")
        assert (await at.core.outbox.wait("a", new.id, 10)).state is MessageState.SENT
        assert [message.content.text for message in at.transports["a"].sent] == ["to the new account"]
        assert at.core.outbox._workers["a"].waiting == 0


async def test_many_waiting_messages_are_failed_a_few_at_a_time_and_each_is_told(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        await at.tell("a", Disconnected("gone"))
        waiting = await asyncio.gather(*(say(at, f"{number}") for number in range(250)))
        most, publish = 0, at.database.tail.publish

        def counted(told: list[Event]) -> None:
            nonlocal most
            most = max(most, sum(event.type is EventType.MESSAGE_STATUS for event in told))
            publish(told)

        at.database.tail.publish = counted  # type: ignore[method-assign]
        await at.core.bots.get("a").logout()
        for message in waiting:
            assert (await at.core.outbox.wait("a", message.id, 10)).reason == LOST
        assert 0 < most <= 50, "all in one transaction, for which everybody else waits"
        told = [event.data["id"] for event in await at.events("message.status")]
        assert told == [message.id for message in waiting]


async def test_what_waits_for_an_account_fails_also_when_the_daemon_ends_first(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        await at.tell("a", Disconnected("gone"))
        old = await say(at, "old")
        await at.database.write(lambda transaction: transaction.outbox.next_account(BotId("a")))  # and then a crash
    async with world(tmp_path / "db", linked=True) as at:
        await at.until("a", BotState.CONNECTED)
        assert (await at.core.outbox.wait("a", old.id, 10)).reason == LOST
        assert await ends(at, old) == [("failed", LOST)]
        new = await say(at, "new")
        assert (await at.core.outbox.wait("a", new.id, 10)).state is MessageState.SENT
        assert [message.content.text for message in at.transports["a"].sent] == ["new"]


async def test_a_message_that_is_being_stored_while_the_account_goes_is_not_for_the_next_one(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        await at.tell("a", Disconnected("gone"))
        stored = threading.Event()
        busy = asyncio.create_task(at.database.write(lambda transaction: stored.wait(10)))
        await asyncio.sleep(0)
        lane = at.core.outbox._workers["a"]
        gone = asyncio.create_task(
            at.database.write(lambda transaction: at.core.outbox.abandon(transaction, lane._bot))
        )
        await asyncio.sleep(0)
        old = asyncio.create_task(say(at, "old"))
        await eventually(lambda: lane.waiting == 1)
        stored.set()
        await asyncio.gather(busy, gone)
        view = await old
        assert (view.state, view.reason) == (MessageState.FAILED, LOST)
        assert await ends(at, view) == [("failed", LOST)]
        assert lane.waiting == 0


async def test_what_was_under_way_at_the_logout_does_not_come_back(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        gone = asyncio.Event()

        async def answer(message: Outgoing) -> Sent:
            if message.content.text == "old":
                await gone.wait()
                raise NotConnected("no connection")
            return Sent("WA", datetime.now(UTC))

        at.transports["a"].answer = answer
        old = await say(at, "old")
        at.transports["a"].script.put_nowait(LoggedOut("removed", action="pair again"))
        await at.until("a", BotState.LOGGED_OUT)
        gone.set()
        assert (await at.core.outbox.wait("a", old.id, 10)).reason == LOST
        await pair_anew(at)
        new = await say(at, "new")
        assert (await at.core.outbox.wait("a", new.id, 10)).state is MessageState.SENT
        assert [message.content.text for message in at.transports["a"].sent] == ["new"]


async def test_a_logout_at_once_followed_by_a_connect_fails_what_waited(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        await at.tell("a", Disconnected("gone"))
        old = await say(at, "old")
        await asyncio.gather(at.core.bots.get("a").logout(), at.core.bots.get("a").connect())
        assert (await at.core.outbox.wait("a", old.id, 10)).reason == LOST
        await at.tell("a", qr())


async def test_messages_for_a_bot_that_was_never_linked_wait_for_its_first_account(tmp_path: Path):
    async with world(tmp_path / "db") as at:
        await at.core.bots.create("a")
        first = await say(at, "hello")
        await pair_anew(at)
        assert (await at.core.outbox.wait("a", first.id, 10)).state is MessageState.SENT


async def test_a_logout_that_a_crash_cut_short_is_done_at_the_next_start(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        at.transports["a"].logout = lambda: asyncio.Event().wait()  # type: ignore[method-assign]
        waiting = await say(at, "sent before")
        await at.core.outbox.wait("a", waiting.id, 10)
        await at.core.bots.get("a").logout()
        [row] = await at.database.read(lambda unit: unit.bots.all_bots())
        assert row.unlinking
    async with world(tmp_path / "db", linked=True) as at:
        view = await at.until("a", BotState.LOGGED_OUT)
        assert view.identity == Identity()
        assert at.transports["a"].logouts == 1
        assert at.transports["a"].running == 0
        assert at.transports.forgotten == ["a"]
        told = [event.data["state"] for event in await at.events("bot.state")]
        assert told[-1] == "logged_out"
    async with world(tmp_path / "db") as at:
        assert (at.core.bots.get("a").view).state is BotState.LOGGED_OUT
        assert at.transports["a"].logouts == 0


async def test_a_delete_that_was_cut_short_before_whatsapp_knew_did_not_happen(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        at.transports["a"].logout = lambda: asyncio.Event().wait()
        deleting = asyncio.create_task(at.core.bots.delete("a"))
        await eventually(lambda: at.core.bots.get("a").current.leaving)
    assert deleting.done()
    async with world(tmp_path / "db", linked=True) as at:
        await at.until("a", BotState.CONNECTED)
        await at.core.bots.delete("a")
        assert await at.core.bots.list() == []


async def test_a_delete_that_was_cut_short_after_whatsapp_knew_leaves_a_bot_that_is_logged_out(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        at.transports.forget = lambda _: asyncio.Event().wait()  # type: ignore[assignment, method-assign]
        deleting = asyncio.create_task(at.core.bots.delete("a"))
        await eventually(lambda: at.core.bots.get("a").current.row.unlinking)
    assert deleting.done()
    async with world(tmp_path / "db") as at:
        at.transports["a"].script.put_nowait(LoggedOut("removed", action="pair again"))
        await at.until("a", BotState.LOGGED_OUT)
        await at.core.bots.delete("a")
        assert await at.core.bots.list() == []


async def test_a_stopped_bot_connects_once_more_to_be_unlinked(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        await at.core.bots.get("a").disconnect()
        await eventually(lambda: at.transports["a"].running == 0)
        runs = at.transports["a"].runs
        at.transports["a"].script.put_nowait(text("A"))
        await at.core.bots.get("a").logout()
        await at.until("a", BotState.LOGGED_OUT)
        assert (at.transports["a"].runs, at.transports["a"].logouts) == (runs + 1, 1)
        told = [event.data["state"] for event in await at.events("bot.state")]
        assert told == ["starting", "connected", "stopped", "stopped", "logged_out"]


UNREACHABLE = replace(QUICK, logout_time=0.05)


async def cut_off(at: World) -> None:
    """The bot is linked, and there is no way to WhatsApp."""
    await linked(at)
    at.transports["a"].reachable = False
    at.transports["a"].script.put_nowait(TransportError("no network", condition=Condition.UNREACHABLE))
    await at.until("a", BotState.RECONNECTING)


@pytest.mark.parametrize("trouble", [TransportError("no network"), RuntimeError("a bug"), None])
async def test_a_logout_waits_until_whatsapp_can_be_told_and_keeps_the_auth_state(
    tmp_path: Path, trouble: Exception | None
):
    async with world(tmp_path / "db", linked=True, limits=UNREACHABLE) as at:
        await linked(at)
        await at.core.bots.get("a").disconnect()
        await eventually(lambda: at.transports["a"].running == 0)
        transport = at.transports["a"]
        transport.linked = False  # never connects, whatever else it does
        if trouble is not None:
            transport.script.put_nowait(trouble)
        await at.core.bots.get("a").logout()
        await eventually(lambda: at.core.bots.get("a").view.code == "logging-out")
        view = at.core.bots.get("a").view
        assert view.state is BotState.STOPPED
        assert "WhatsApp could not be notified yet" in (view.reason or "")
        assert view.next_attempt_at is not None
        assert "with force" in (view.action or "")
        assert view.identity == ALICE
        assert at.transports.forgotten == []
        transport.linked = True
        view = await at.until("a", BotState.LOGGED_OUT)
        assert (view.reason, view.identity) == ("logged out on request", Identity())
        assert at.transports.forgotten == ["a"]


async def test_a_logout_over_a_dead_connection_is_not_given_up(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        at.transports["a"].reachable = False  # the connection stands, and nothing gets through
        await at.core.bots.get("a").logout()
        await eventually(lambda: at.core.bots.get("a").view.code == "logging-out")
        assert at.transports.forgotten == []
        at.transports["a"].reachable = True
        await at.until("a", BotState.LOGGED_OUT)


async def test_a_logout_that_waits_goes_on_after_a_restart_of_the_daemon(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=UNREACHABLE) as at:
        await cut_off(at)
        await at.core.bots.get("a").logout()
        await eventually(lambda: at.core.bots.get("a").view.code == "logging-out")
    async with world(tmp_path / "db", linked=True, limits=UNREACHABLE) as at:
        await at.until("a", BotState.LOGGED_OUT)
        assert at.transports["a"].logouts == 1


async def test_a_logout_with_force_does_not_wait_and_says_what_is_left(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(UNREACHABLE, backoff_first=300)) as at:
        await linked(at)
        at.transports["a"].reachable = False
        await at.core.bots.get("a").logout()
        await eventually(lambda: at.core.bots.get("a").view.code == "logging-out")
        await at.core.bots.get("a").logout(force=True)
        view = await at.until("a", BotState.LOGGED_OUT)
        assert "could not be notified" in (view.reason or "")
        assert "remove this device on the phone" in (view.action or "")
        assert at.transports.forgotten == ["a"]


async def test_a_logout_is_given_up_after_a_week_and_says_so(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(UNREACHABLE, logout_kept=0.2)) as at:
        await cut_off(at)
        await at.core.bots.get("a").logout()
        view = await at.until("a", BotState.LOGGED_OUT)
        assert "could not be notified" in (view.reason or "")
        assert at.transports["a"].runs > 2  # it was tried
        assert at.transports.forgotten == ["a"]


async def test_another_order_while_a_logout_waits_is_followed_after_it(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=UNREACHABLE) as at:
        await cut_off(at)
        await at.core.bots.get("a").logout()
        await eventually(lambda: at.core.bots.get("a").view.code == "logging-out")
        assert (await at.core.bots.get("a").disconnect()).code == "logging-out"
        with pytest.raises(Conflict, match="is being logged out"):
            await at.core.transfer.export("a", "correct horse battery", move=True)
        assert (await at.core.bots.get("a").connect()).state is BotState.STARTING
        view = await at.until("a", BotState.RECONNECTING)
        assert view.code == "logging-out"
        at.transports["a"].reachable = True
        await eventually(lambda: at.transports["a"].logouts == 1)
        await at.tell("a", qr())
        view = at.core.bots.get("a").view
        assert (view.state, view.identity) == (BotState.PAIRING, Identity())


async def test_what_a_halted_bot_cannot_tell_is_destroyed_at_once(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        at.transports["a"].script.put_nowait(Blocked("banned", action="wait", condition=Condition.BANNED))
        await at.until("a", BotState.BLOCKED)
        runs = at.transports["a"].runs
        await at.core.bots.get("a").logout()
        view = await at.until("a", BotState.LOGGED_OUT)
        assert "could not be notified" in (view.reason or "")
        assert at.transports["a"].runs == runs


async def test_a_delete_without_a_way_to_whatsapp_is_refused_and_changes_nothing(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=UNREACHABLE) as at:
        await cut_off(at)
        before = at.core.bots.get("a").current.row
        with pytest.raises(NotUnlinked, match="force=true"):
            await at.core.bots.delete("a")
        assert at.core.bots.get("a").current.row == before
        assert at.transports.forgotten == []
        at.transports["a"].reachable = True
        await at.until("a", BotState.CONNECTED)  # it goes on
        at.transports["a"].reachable = False
        await at.core.bots.delete("a", force=True)
        assert await at.core.bots.list() == []
        assert at.transports.forgotten == ["a"]


async def test_what_belongs_to_another_bot_is_not_destroyed_by_a_logout_or_a_delete(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        at.transports["a"].foreign = True
        await at.core.bots.get("a").restart()
        view = await at.until("a", BotState.BLOCKED)
        assert view.code == "auth-foreign"
        await at.core.bots.get("a").logout()
        await eventually(lambda: at.core.bots.get("a").current.row.unlinking is None)
        assert (at.core.bots.get("a").view).code == "auth-foreign"
        with pytest.raises(Conflict, match="that of another bot"):
            await at.core.bots.delete("a")
        assert at.transports.forgotten == []
        at.transports["a"].foreign = False  # put back
        await at.core.bots.get("a").connect()
        await at.until("a", BotState.CONNECTED)


async def test_nothing_is_taken_for_a_bot_that_is_logged_out(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=UNREACHABLE) as at:
        await cut_off(at)
        submit = at.core.outbox.submit
        first = await submit("a", PHONE, TextContent(text="hello"), idempotency_key="k")
        await at.core.bots.get("a").logout()
        with pytest.raises(LoggedOut, match="is being logged out"):
            await say(at, "too late")
        at.transports["a"].reachable = True
        await at.until("a", BotState.LOGGED_OUT)
        with pytest.raises(LoggedOut, match="the bot is logged out") as refused:
            await say(at, "too late")
        assert refused.value.action
        again = await submit("a", PHONE, TextContent(text="hello"), idempotency_key="k")  # answered as before
        assert (again.id, again.state) == (first.id, MessageState.FAILED)
        with pytest.raises(LoggedOut):
            await submit("a", PHONE, TextContent(text="hello"), idempotency_key="other")
    async with world(tmp_path / "db") as at:  # nor after a restart
        with pytest.raises(LoggedOut):
            await say(at, "too late")
        await pair_anew(at)
        new = await say(at, "to the new account")
        assert (await at.core.outbox.wait("a", new.id, 10)).state is MessageState.SENT


async def test_a_stop_does_not_wait_until_all_that_was_lost_is_failed(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        await at.tell("a", Disconnected("gone"))
        waiting = await asyncio.gather(*(say(at, f"{number}") for number in range(120)))
        publish = at.database.tail.publish

        def stop(told: list[Event]) -> None:
            if any(event.data.get("reason") == LOST for event in told):
                at.core.outbox._former.closing = True
            publish(told)

        at.database.tail.publish = stop  # type: ignore[method-assign]
        await at.core.bots.get("a").logout()
        await at.until("a", BotState.LOGGED_OUT)
        await at.core.outbox._steps.settled()
        assert len(await at.database.read(lambda sql: sql.outbox.lost(BotId("a"), 1000))) == 70
    async with world(tmp_path / "db", linked=True) as at:
        for message in waiting:
            assert (await at.core.outbox.wait("a", message.id, 10)).reason == LOST


async def test_a_deletion_that_ends_during_a_stop_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    async with world(tmp_path / "db", linked=True) as at:
        await linked(at)
        erasing, go_on = asyncio.Event(), asyncio.Event()

        async def erase() -> None:
            erasing.set()
            await go_on.wait()

        found = at.core.bots.get("a")
        caller = asyncio.create_task(found.leave(erase))
        await erasing.wait()
        caller.cancel()  # as the fleet does when the daemon stops
        await asyncio.wait([caller])
        go_on.set()
        async with asyncio.timeout(10):
            await asyncio.wait([at.core.bots._supervisors[found.current.bot]])
        assert found.current.gone
        assert "internal error" not in caplog.text


async def test_a_caller_who_goes_away_leaves_no_bot_half_there(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        for turns in range(6):
            caller = asyncio.create_task(at.core.bots.create(f"a{turns}"))
            for _ in range(turns):
                await asyncio.sleep(0)
            caller.cancel()
        async with asyncio.timeout(10):
            await at.core.bots._steps.settled()
        rows = await at.database.read(lambda unit: unit.bots.all_bots())
        assert {row.id for row in rows} == {view.id for view in await at.core.bots.list()}
        assert rows
        for turns, row in enumerate(rows):
            caller = asyncio.create_task(at.core.bots.delete(row.id))
            for _ in range(turns):
                await asyncio.sleep(0)
            caller.cancel()
        await at.core.bots._steps.settled()
        left = await at.database.read(lambda unit: unit.bots.all_bots())
        assert [row.id for row in left] == [view.id for view in await at.core.bots.list()]
        assert not any(row.unlinking for row in left)
