"""Outgoing messages with a scripted connection."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from tests.core.scripted import CHAT, PHONE, QUICK, World, eventually, receipt, text, world
from zapwire.core.messages.content import sendable
from zapwire.core.messages.pacing.reply_spacing import ReplySpacing
from zapwire.core.messages.send_options import SendOptions
from zapwire.core.tuning import Tuning
from zapwire.model.bots import BotState
from zapwire.model.content.base import Quoted
from zapwire.model.content.changes import CommentContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import (
    IdempotencyMismatch,
    InvalidInput,
    NotConnected,
    NotFound,
    NotSupported,
    Refused,
    TooMany,
    TransportError,
)
from zapwire.model.jid import PERSON_ID
from zapwire.model.messages import MessageState, Outgoing, OutgoingView, Party, Sent
from zapwire.transport.protocol import Disconnected, ReceiptKind, SendFailed

OTHERS = [f"+4915123456{number}" for number in range(100, 120)]


async def connected(at: World) -> None:
    await at.core.bots.create("bot")
    await at.until("bot", BotState.CONNECTED)


async def say(at: World, body: str, to: str = PHONE, key: str | None = None) -> OutgoingView:
    return await at.core.outbox.submit("bot", to, TextContent(text=body), idempotency_key=key)


async def end(at: World, message: OutgoingView) -> OutgoingView:
    return await at.core.outbox.wait("bot", message.id, 10)


async def steps(at: World, message: OutgoingView) -> list[str]:
    return [event.data["state"] for event in await at.events("message.status") if event.data["id"] == message.id]


async def test_a_message_is_sent_at_once_and_follows_its_receipts(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        taken = await say(at, "hello", "+49 151 2345-6789")
        assert taken.state is MessageState.SENDING
        assert taken.to == Party(CHAT, PHONE, None, taken.to.id)
        assert PERSON_ID.fullmatch(taken.to.id or "")
        done = await end(at, taken)
        assert (done.state, done.whatsapp_id) == (MessageState.SENT, "WA1")
        assert at.transports["bot"].sent == [Outgoing(CHAT, TextContent(text="hello"))]
        for kind in (ReceiptKind.DELIVERED, ReceiptKind.READ, ReceiptKind.DELIVERED, ReceiptKind.READ):
            await at.tell("bot", receipt(kind, "WA1", "of another device"))
        assert (await at.core.outbox.get("bot", done.id)).state is MessageState.READ
        assert await steps(at, done) == ["sent", "delivered", "read"]


async def test_receipts_that_overtake_the_answer_count(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)

        async def answer(message: Outgoing) -> Sent:
            await at.tell("bot", receipt(ReceiptKind.READ, "EARLY"))
            await at.tell("bot", receipt(ReceiptKind.DELIVERED, "EARLY"))
            return Sent("EARLY", datetime.now(UTC))

        at.transports["bot"].answer = answer
        done = await end(at, await say(at, "hello"))
        assert done.state is MessageState.READ
        assert await steps(at, done) == ["sent", "read"]


@pytest.mark.parametrize("early", [False, True])
async def test_a_message_that_the_network_cannot_deliver_fails_late(tmp_path: Path, early: bool):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        failed = SendFailed(("LATE",), "the recipient cannot be reached", datetime.now(UTC))

        async def answer(_: Outgoing) -> Sent:
            if early:
                await at.tell("bot", failed)
            return Sent("LATE", datetime.now(UTC))

        at.transports["bot"].answer = answer
        message = await end(at, await say(at, "hello"))
        if not early:
            await at.tell("bot", failed)
        found = await at.core.outbox.get("bot", message.id)
        assert (found.state, found.reason) == (MessageState.FAILED, "the recipient cannot be reached")
        assert await steps(at, message) == ["sent", "failed"]


async def test_without_a_connection_messages_wait_in_order(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.tell("bot", Disconnected("gone"))
        waiting = [await say(at, f"{number}") for number in range(5)]
        assert {view.state for view in waiting} == {MessageState.QUEUED}
        assert (await at.core.outbox.wait("bot", waiting[0].id, 0.01)).state is MessageState.QUEUED
        assert at.transports["bot"].sent == []
    async with world(tmp_path / "db", linked=True) as at:
        assert (await end(at, waiting[-1])).state is MessageState.SENT
        assert [message.content.text for message in at.transports["bot"].sent] == ["0", "1", "2", "3", "4"]


async def test_a_failure_that_may_pass_is_tried_again_before_what_follows(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, send_again=0.01)) as at:
        await connected(at)
        failures = iter([NotConnected("no connection"), TransportError("the stream broke")])
        at.transports["bot"].answer = lambda message: _raise(next(failures, None))
        messages = [await say(at, "first"), await say(at, "second"), await say(at, "third")]
        assert (await end(at, messages[2])).state is MessageState.SENT
        assert [message.content.text for message in at.transports["bot"].sent] == ["first", "second", "third"]
        assert await steps(at, messages[0]) == ["sent"]


async def test_a_message_does_not_overtake_one_that_is_still_being_stored(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        ended, stored = asyncio.Event(), threading.Event()

        async def answer(message: Outgoing) -> None:
            if message.content.text == "0":
                await ended.wait()

        at.transports["bot"].answer = answer
        await say(at, "0")
        busy = asyncio.create_task(at.database.write(lambda transaction: stored.wait(10)))
        await asyncio.sleep(0)
        one = asyncio.create_task(say(at, "1"))
        await eventually(lambda: at.core.outbox._workers["bot"].waiting == 1)
        ended.set()
        await eventually(lambda: len(at.transports["bot"].sent) == 1 and at.transports["bot"].at_once == 0)
        await asyncio.sleep(0)
        two = asyncio.create_task(say(at, "2"))  # its chat is free, as it seems
        await eventually(lambda: at.core.outbox._workers["bot"].waiting == 2)
        stored.set()
        await busy
        for message in (await one, await two):
            assert (await end(at, message)).state is MessageState.SENT
        assert [message.content.text for message in at.transports["bot"].sent] == ["0", "1", "2"]


async def test_too_many_failures_end_a_message(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, send_attempts=1)) as at:
        await connected(at)
        at.transports["bot"].answer = lambda message: _raise(TransportError("the stream broke"))
        done = await end(at, await say(at, "hello"))
        assert (done.state, done.reason) == (MessageState.FAILED, "the stream broke (1 attempts)")


@pytest.mark.parametrize(
    ("error", "state", "reason"),
    [
        (Refused("this number is not on WhatsApp"), MessageState.FAILED, "this number is not on WhatsApp"),
        (TimeoutError(), MessageState.UNKNOWN, "did not answer"),
        (RuntimeError("a bug"), MessageState.UNKNOWN, "internal error"),
    ],
)
async def test_an_end_that_is_not_sent_says_why(tmp_path: Path, error: Exception, state: MessageState, reason: str):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        at.transports["bot"].answer = lambda message: _raise(error)
        done = await end(at, await say(at, "hello"))
        assert done.state is state
        assert reason in (done.reason or "")
        assert await steps(at, done) == [state.value]


async def test_an_answer_that_never_comes_is_unknown(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, send_time=0.02)) as at:
        await connected(at)
        at.transports["bot"].answer = lambda message: asyncio.Event().wait()
        assert (await end(at, await say(at, "hello"))).state is MessageState.UNKNOWN


async def test_a_message_that_waited_too_long_expires(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        await at.core.bots.get("bot").disconnect()
        message = await say(at, "hello")
        await at.database.write(lambda transaction: transaction.sql.execute("UPDATE outbox SET deadline = 0"))
    async with world(tmp_path / "db") as at:
        done = await end(at, message)
        assert done.state is MessageState.EXPIRED
        assert "while the bot was not connected" in (done.reason or "")


async def test_what_was_taken_back_takes_no_place_and_a_schedule_takes_none_of_the_queue(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, queued_per_bot=2)) as at:
        await connected(at)
        await at.tell("bot", Disconnected("gone"))
        waiting = [await say(at, f"{number}") for number in range(2)]
        with pytest.raises(TooMany):
            await say(at, "too many")
        await at.core.outbox.cancel("bot", waiting[0].id)
        reply = TextContent(text="to nothing", quoted=Quoted(message_id=waiting[0].id, sender=None, text=None))
        with pytest.raises(NotFound, match="was not sent"):
            await at.core.outbox.submit("bot", PHONE, reply)
        waiting.append(await say(at, "instead"))
        later = SendOptions(send_at=datetime.now(UTC) + timedelta(hours=1))
        for _ in range(2):
            await at.core.outbox.submit("bot", PHONE, TextContent(text="later"), options=later)
        with pytest.raises(TooMany, match="are scheduled"):
            await at.core.outbox.submit("bot", PHONE, TextContent(text="later"), options=later)
    async with world(tmp_path / "db", linked=True) as at:
        await end(at, waiting[-1])
        assert [message.content.text for message in at.transports["bot"].sent] == ["1", "instead"]


async def test_a_repeat_gets_the_stored_answer_even_after_its_deadline(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        options = SendOptions(deadline=datetime.now(UTC) + timedelta(seconds=0.5))
        submit = partial(at.core.outbox.submit, "bot", PHONE, TextContent(text="soon"), options=options)
        first = await submit(idempotency_key="k")
        await asyncio.sleep(0.5)
        with pytest.raises(InvalidInput):
            await submit()
        assert (await submit(idempotency_key="k")).id == first.id


async def test_one_key_is_one_message(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        same = await asyncio.gather(*(say(at, "hello", key="k") for _ in range(5)))
        assert len({view.id for view in same}) == 1
        await end(at, same[0])
        assert (await say(at, "hello", key="k")).state is MessageState.SENT
        assert len(at.transports["bot"].sent) == 1
        for other in (say(at, "bye", key="k"), say(at, "hello", OTHERS[0], key="k")):
            with pytest.raises(IdempotencyMismatch):
                await other
        assert (await say(at, "hello", key="other")).id != same[0].id
        assert (await end(at, await say(at, "no key"))).state is MessageState.SENT


async def test_bad_messages_are_refused_whole(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, queued_per_bot=2)) as at:
        await connected(at)
        submit = at.core.outbox.submit
        for to in ("", "12", "bob", "1@x", "+49151234567890123456"):
            with pytest.raises(InvalidInput) as caught:
                await submit("bot", to, TextContent(text="hi"))
            assert caught.value.field == "to"
        for content in ({}, {"text": " "}, {"text": 1}, {"text": "x" * 65_537}):
            with pytest.raises(InvalidInput) as caught:
                await submit("bot", PHONE, sendable.read("text", content))
            assert caught.value.field == "text"
        with pytest.raises(NotSupported):
            sendable.read("hologram", {})
        with pytest.raises(NotSupported):
            await submit("bot", PHONE, CommentContent(message_id="A"))
        with pytest.raises(InvalidInput):
            await say(at, "hi", key="")
        with pytest.raises(NotFound):
            await submit("nobody", PHONE, TextContent(text="hi"))
        with pytest.raises(NotFound):
            await at.core.outbox.wait("bot", "msg_none", 1)
        await at.core.bots.get("bot").disconnect()
        answers = await asyncio.gather(*(say(at, "hi") for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(answer, TooMany) for answer in answers) == 3
        rows = await at.database.read(lambda sql: sql.sql.execute("SELECT count(*) FROM outbox").fetchone())
        assert rows == (2,)


async def test_chats_go_side_by_side_bounded_and_each_in_order(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, sends_at_once=3)) as at:
        await connected(at)
        chats: dict[str, int] = {}

        async def answer(message: Outgoing) -> None:
            chats[message.to] = chats.get(message.to, 0) + 1
            assert chats[message.to] == 1, "two at once to one chat"
            if transport.at_once == 3:
                full.set()
            await full.wait()
            await asyncio.sleep(0)
            chats[message.to] -= 1

        full, transport = asyncio.Event(), at.transports["bot"]
        transport.answer = answer
        messages = [await say(at, f"{number}", to) for number in range(4) for to in OTHERS[:6]]
        for message in messages:
            await end(at, message)
        assert transport.most_at_once == 3
        for to in OTHERS[:6]:
            chat = f"{to[1:]}@s.whatsapp.net"
            assert [sent.content.text for sent in transport.sent if sent.to == chat] == ["0", "1", "2", "3"]


async def test_after_a_crash_what_was_being_sent_is_unknown_and_not_sent_again(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        at.transports["bot"].answer = lambda message: asyncio.Event().wait()
        message = await say(at, "hello")
        behind = await say(at, "behind")
        lane = at.core.outbox._workers["bot"]
        await lane.close()  # as a crash leaves it
        assert (await at.core.outbox.get("bot", message.id)).state is MessageState.SENDING
    async with world(tmp_path / "db", linked=True) as at:
        done = await end(at, message)
        assert done.state is MessageState.UNKNOWN
        assert "stopped while sending this message" in (done.reason or "")
        assert await steps(at, message) == ["unknown"]
        await end(at, behind)
        assert [sent.content.text for sent in at.transports["bot"].sent] == ["behind"]


async def test_a_caller_who_goes_away_leaves_no_message_stored_but_unsent(tmp_path: Path):
    async with world(tmp_path / "db", linked=True) as at:
        await connected(at)
        caller = asyncio.create_task(say(at, "hello"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        caller.cancel()
        await eventually(lambda: len(at.transports["bot"].sent) == 1)


async def test_a_reply_keeps_its_distance_from_the_message_it_answers(tmp_path: Path):
    lively = replace(QUICK, reply_after=0.03, reply_at_most=600.0, lively_chat=600.0)
    async with world(tmp_path / "db", linked=True, limits=lively) as at:
        await connected(at)
        loop = asyncio.get_running_loop()
        times: list[float] = []
        at.transports["bot"].answer = lambda message: times.append(loop.time())
        heard = loop.time()
        await at.tell("bot", text("A"))  # from a LID whose phone number is PHONE
        await say(at, "one")
        await end(at, await say(at, "two"))
        assert times[0] - heard >= 0.03
        assert times[1] - times[0] >= 0.03


async def test_only_the_chat_that_wrote_waits(tmp_path: Path):
    never = replace(QUICK, reply_after=600.0, reply_at_most=600.0, lively_chat=600.0)
    async with world(tmp_path / "db", linked=True, limits=never) as at:
        await connected(at)
        await at.tell("bot", text("A"))
        answer, other = await say(at, "answer"), await say(at, "elsewhere", OTHERS[0])
        assert (answer.state, other.state) == (MessageState.QUEUED, MessageState.SENDING)
        await end(at, other)
        assert [message.to for message in at.transports["bot"].sent] == [other.to.jid]


def test_pacing_never_holds_a_message_for_long():
    limits = Tuning()
    pacing, chat, now = ReplySpacing(limits), ["1@lid"], 100.0
    assert pacing.ready(chat, now, now) == now
    for step in range(200):  # a chat that never pauses
        pacing.heard(chat, now + step * 0.01)
    assert pacing.ready(chat, now, now + 2) == now + limits.reply_at_most
    assert pacing.ready(chat, now + 2, now + 2) == pytest.approx(now + 1.99 + limits.reply_after)
    assert pacing.ready(chat, now + 4, now + 4) == now + 4
    pacing.know(["1@lid", PHONE])
    assert pacing.ready([PHONE], now + 2, now + 2) == pytest.approx(now + 1.99 + limits.reply_after), "the same chat"
    pacing.heard(["2@lid"], now + 10)
    assert pacing.ready(["2@lid"], now + 10, now + 10) == now + 10 + limits.reply_after
    assert len(pacing._heard) <= 2, "chats that are lively no more are forgotten"


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


async def test_a_message_that_ended_long_ago_is_forgotten(tmp_path: Path):
    async with world(tmp_path / "db", linked=True, limits=replace(QUICK, housekeeping=0.01)) as at:
        await connected(at)
        old, new = await say(at, "old"), await say(at, "new")
        await end(at, old)
        await end(at, new)
        await at.database.write(
            lambda t: t.sql.execute("UPDATE outbox SET updated_at = updated_at - 7776000001 WHERE id = ?", (old.id,))
        )

        async def forgotten() -> bool:
            rows = await at.database.read(lambda sql: sql.sql.execute("SELECT id FROM outbox").fetchall())
            return rows == [(new.id,)]

        await eventually(forgotten)
