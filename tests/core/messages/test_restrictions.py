"""Limits on an account: what waits, what flows on, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.core.scripted import PHONE, QUICK, World, eventually, text, world
from zapwire.core.messages.restrictions import FIRST_MESSAGES, RATE, TIME_LOCK, RestrictionDetector
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotState, Restriction
from zapwire.model.content.text import TextContent
from zapwire.model.errors import Restricted
from zapwire.model.messages import MessageState, Outgoing, OutgoingView, Party
from zapwire.transport.protocol import TimeLocked

SHORT = replace(QUICK, strangers_first=0.3, strangers_most=0.3, rate_first=0.3, rate_most=0.3)
STRANGER = "+4915123450000"


class Account:
    """A transport's `answer` that refuses as WhatsApp does."""

    def __init__(self, error: int, friends: set[str]) -> None:
        self.error, self.friends, self.limited = error, friends, True
        self.asked: list[str] = []

    def __call__(self, message: Outgoing) -> None:
        self.asked.append(message.to)
        if self.limited and message.to not in self.friends:
            raise Restricted(f"limited (error {self.error})", error=self.error, strangers=self.error == 463)


async def start(at: World, error: int, friends: set[str]) -> Account:
    await at.core.bots.create("bot")
    await at.until("bot", BotState.CONNECTED)
    account = at.transports["bot"].answer = Account(error, friends)
    return account


async def send(at: World, to: str, body: str = "hi") -> OutgoingView:
    return await at.core.outbox.submit("bot", to, TextContent(text=body))


async def state(at: World, view: OutgoingView) -> tuple[MessageState, str | None]:
    now = await at.core.outbox.get("bot", view.id)
    return now.state, now.reason


async def restriction(at: World) -> Restriction | None:
    return (at.core.bots.get("bot").view).restriction


async def test_first_messages_wait_while_answers_flow_and_go_out_when_the_limit_is_over(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=SHORT) as at:
        friend = "4915123456789@s.whatsapp.net"
        account = await start(at, 463, {friend, "8000000000001@lid"})
        await at.tell("bot", text("IN1"))  # the friend has written, by LID, with the number beside it
        first = await send(at, STRANGER)
        await eventually(lambda: restriction(at))
        limit = await restriction(at)
        assert limit is not None
        assert (limit.kind, limit.error, limit.reason) == (FIRST_MESSAGES, 463, "limited (error 463)")
        others = [await send(at, f"+491512345000{n}") for n in range(1, 4)]
        answer = await send(at, PHONE, "an answer")
        assert (await at.core.outbox.wait("bot", answer.id, 5)).state is MessageState.SENT
        for held in (first, *others):
            assert await state(at, held) == (MessageState.QUEUED, "limited (error 463)")
        assert account.asked.count("4915123450001@s.whatsapp.net") == 0, "a first message was tried during the limit"
        [told] = [e.data["restriction"] for e in await at.events("bot.state") if e.data["restriction"]]
        assert told["kind"] == "first-messages"
        assert told["retry_after"] is not None
        account.limited = False
        for held in (first, *others):
            assert (await at.core.outbox.wait("bot", held.id, 10)).state is MessageState.SENT
        await eventually(lambda: no_restriction(at))


async def told(at: World, view: OutgoingView) -> list[tuple[str, str | None]]:
    found = [event.data for event in await at.events("message.status") if event.data["id"] == view.id]
    return [(data["state"], data["reason"]) for data in found]


@pytest.mark.parametrize("error", [463, 429])
async def test_each_message_that_is_held_says_so_when_asked_and_is_told_once(tmp_path: Path, error: int):
    limits = replace(SHORT, strangers_first=3600, strangers_most=3600, rate_first=3600, rate_most=3600)
    reason = f"limited (error {error})"
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        await start(at, error, set())
        held = [await send(at, STRANGER, "one"), await send(at, STRANGER, "two"), await send(at, "+4915123450002")]
        await eventually(lambda: restriction(at))
        held += [await send(at, STRANGER, "three"), await send(at, "+4915123450003")]
        for view in held:
            assert (await state(at, view))[0] in {MessageState.QUEUED, MessageState.SENDING}

        async def all_told() -> bool:
            return [await told(at, view) for view in held] == [[("queued", reason)]] * len(held)

        await eventually(all_told)
        for view in held:
            assert await state(at, view) == (MessageState.QUEUED, reason)
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        await at.until("bot", BotState.CONNECTED)
        last = await send(at, "+4915123450004")
        assert await state(at, last) == (MessageState.QUEUED, reason), "it says so before it is looked at"

        async def last_told() -> bool:
            return await told(at, last) == [("queued", reason)]

        await eventually(last_told)
        assert await all_told(), "told again after a restart"
        account = at.transports["bot"]
        assert account.sent == []


async def no_restriction(at: World) -> bool:
    return await restriction(at) is None


async def test_while_the_limit_goes_on_one_message_tries_for_all_and_none_is_failed(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=SHORT) as at:
        account = await start(at, 463, set())
        held = [await send(at, f"+491512345000{n}") for n in range(5)]
        await eventually(lambda: restriction(at))
        begun = len(account.asked)
        since = (await restriction(at)).since  # type: ignore[union-attr]
        await eventually(lambda: len(account.asked) >= begun + 2)
        assert len(account.asked) <= begun + 3, "several tried in one round"
        limit = await restriction(at)
        assert limit is not None
        assert limit.since == since
        for view in held:
            assert (await state(at, view))[0] in {MessageState.QUEUED, MessageState.SENDING}
        account.limited = False
        for view in held:
            assert (await at.core.outbox.wait("bot", view.id, 10)).state is MessageState.SENT


async def test_who_writes_meanwhile_is_no_stranger_any_more(tmp_path: Path):
    limits = replace(SHORT, strangers_first=3600, strangers_most=3600)
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        account = await start(at, 463, set())
        view = await send(at, PHONE)
        await eventually(lambda: restriction(at))
        account.friends = {"4915123456789@s.whatsapp.net"}
        await at.tell("bot", text("IN1", chat=Party("8000000000001@lid", PHONE, "8000000000001@lid")))
        assert (await at.core.outbox.wait("bot", view.id, 5)).state is MessageState.SENT
        assert await restriction(at) is not None


async def test_too_many_messages_hold_all_of_them(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=SHORT) as at:
        account = await start(at, 429, set())
        await at.tell("bot", text("IN1"))
        first, answer = await send(at, STRANGER), await send(at, PHONE)
        await eventually(lambda: restriction(at))
        limit = await restriction(at)
        assert limit is not None
        assert limit.kind == RATE
        account.limited = False
        for view in (first, answer):
            assert (await at.core.outbox.wait("bot", view.id, 10)).state is MessageState.SENT
        await eventually(lambda: no_restriction(at))


async def test_a_limit_outlives_the_daemon_and_ends_with_the_account(tmp_path: Path):
    limits = replace(SHORT, strangers_first=3600, strangers_most=3600)
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        await start(at, 463, set())
        await send(at, STRANGER)
        await eventually(lambda: restriction(at))
        before = await restriction(at)
    async with world(tmp_path / "db", linked=True, limits=limits) as at:
        await at.until("bot", BotState.CONNECTED)
        after = await restriction(at)
        assert before is not None
        assert after is not None
        assert (after.kind, after.error, after.reason) == (before.kind, before.error, before.reason)
        other = await send(at, "+4915123450001")
        await eventually(lambda: is_held(at, other))
        assert at.transports["bot"].sent == []
        await at.core.bots.get("bot").logout()
        await at.until("bot", BotState.LOGGED_OUT)
        assert await restriction(at) is None


async def is_held(at: World, view: OutgoingView) -> bool:
    return await state(at, view) == (MessageState.QUEUED, "limited (error 463)")


def test_each_round_waits_twice_as_long_up_to_a_bound():
    told: list[Restriction | None] = []
    restrictions = RestrictionDetector(BotId("bot"), Tuning(strangers_first=10, strangers_most=35), None, told.append)
    error = Restricted("no", error=463, strangers=True)
    waits = []
    for _ in range(4):
        waits.append(round((restrictions.refused(error) - datetime.now(UTC)).total_seconds()))
        assert restrictions.restriction is not None
        over = replace(restrictions.restriction, until=datetime.now(UTC) - timedelta(seconds=1))
        restrictions.restriction = over
        assert restrictions.holds(known=False) is None
        assert restrictions.holds(known=False) is not None, "one tries for all"
        assert restrictions.holds(known=True) is None
    assert waits == [10, 20, 35, 35]
    restrictions.passed(known=True)
    assert restrictions.restriction is not None
    restrictions.passed(known=False)
    assert restrictions.restriction is None
    assert told[-1] is None


async def test_a_time_lock_holds_strangers_until_its_end_and_a_send_is_warned(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=SHORT) as at:
        friend = "4915123456789@s.whatsapp.net"
        account = await start(at, 463, {friend, "8000000000001@lid"})
        await at.tell("bot", text("IN1"))
        until = timestamps.now() + timedelta(hours=3)
        await at.tell("bot", TimeLocked(until))
        held = await send(at, STRANGER)
        assert held.limit is not None
        assert (held.limit.kind, held.limit.until, held.state) == (TIME_LOCK, until, MessageState.QUEUED)
        assert f"until {until:%Y-%m-%d %H:%M} UTC" in (held.reason or "")
        answer = await send(at, PHONE, "an answer")
        assert answer.limit is None
        assert (await at.core.outbox.wait("bot", answer.id, 5)).state is MessageState.SENT
        assert account.asked == [friend]
        again = (await at.core.outbox.get("bot", held.id)).limit
        assert again is not None
        assert again.kind == TIME_LOCK
        account.limited = False
        await at.tell("bot", TimeLocked(None))
        assert (await at.core.outbox.wait("bot", held.id, 5)).state is MessageState.SENT
        await eventually(lambda: restriction_is_over(at))


async def restriction_is_over(at: World) -> bool:
    return await restriction(at) is None


def test_a_refusal_during_a_time_lock_does_not_shorten_it() -> None:
    told: list[Restriction | None] = []
    detector = RestrictionDetector(BotId("bot"), Tuning(), None, told.append)
    until = timestamps.now() + timedelta(days=2)
    detector.announced(until)
    assert detector.refused(Restricted("no", error=463, strangers=True)) == until
    assert [one.kind for one in told if one] == [TIME_LOCK]
    detector.announced(timestamps.now() - timedelta(seconds=1))
    assert detector.restriction is None
