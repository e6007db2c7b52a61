"""Virtual phones against the real engine over a real socket."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.sandbox.engine import Engine
from zapwire.sandbox.phones.compose import Media, PhoneMessage, Reaction
from zapwire.sandbox.phones.inbox import InboxEntry
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.running import RunningSandbox, running_sandbox
from zapwire.sandbox.server.state.faults import LoginFailure, MessageError

BOT, CONTACT = "4915100000001", "4915100000002"
DELIVERED, READ = 1, 4  # neonize's numbers


@pytest_asyncio.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox() as running:
        yield running


@pytest_asyncio.fixture
async def engine(sandbox: RunningSandbox, tmp_path: Path) -> AsyncIterator[Engine]:
    async with Engine(tmp_path, sandbox.descriptor) as engine:
        await engine.tell("connect")
        yield engine


@pytest_asyncio.fixture
async def bot(sandbox: RunningSandbox, engine: Engine) -> Phone:
    phone, _ = await sandbox.phones.ensure(BOT, "Corner Shop")
    assert await phone.pairing.scan(await engine.qr()) == 1
    await engine.until(lambda a: a.get("event") == "connected")
    return phone


@pytest_asyncio.fixture
async def contact(sandbox: RunningSandbox) -> Phone:
    return (await sandbox.phones.ensure(CONTACT, "Ana"))[0]


async def entry(phone: Phone, wanted: str, *, kind: str = "message") -> InboxEntry:
    """The phone's entry with this text or type."""
    after = 0
    async with asyncio.timeout(20):
        while True:
            for found in await phone.inbox.wait_after(after, 20, {kind}):
                if wanted in {found.data.get("text"), found.data.get("type"), found.data.get("state")}:
                    return found
                after = found.seq


async def test_texts_both_ways_with_receipts(bot: Phone, contact: Phone, engine: Engine) -> None:
    await contact.send(PhoneMessage(to=BOT, text="are you open?"))
    message = await engine.text("are you open?")
    assert message["sender"] == f"{contact.account.lid}@lid"
    assert message["sender_alt"] == f"{CONTACT}@s.whatsapp.net"
    assert message["name"] == "Ana"
    receipt = (await contact.inbox.wait_after(0, 20, {"receipt"}))[0]
    assert receipt.data["receipt"] == "delivered"

    sent = await engine.tell("send", to=CONTACT, text="until six")
    got = await entry(contact, "until six")
    assert (got.data["from"], got.data["id"], got.data["from_me"]) == (BOT, sent, False)
    await engine.until(lambda a: a.get("type") == DELIVERED and sent in a["ids"])
    assert await contact.read() == 1
    await engine.until(lambda a: a.get("type") == READ and sent in a["ids"])
    assert await contact.read() == 0

    # what the engine sends shows on its own phone too, and what the phone sends at the engine
    assert (await entry(bot, "until six")).data["from_me"]
    await bot.send(PhoneMessage(to=CONTACT, text="from the phone"))
    message = await engine.text("from the phone")
    assert message["from_me"]
    assert message["chat"] == f"{contact.account.lid}@lid"
    await entry(contact, "from the phone")


async def test_pairing_by_code(sandbox: RunningSandbox, engine: Engine) -> None:
    phone, _ = await sandbox.phones.ensure(BOT)
    await engine.qr()
    code = await engine.tell("code", phone=BOT)
    with pytest.raises(Exception, match="code"):
        await phone.pairing.enter_code("ZZZZ-ZZZZ" if code != "ZZZZ-ZZZZ" else "AAAA-AAAA")
    assert await phone.pairing.enter_code(code) == 1
    await engine.until(lambda a: a.get("event") == "connected")
    await engine.until(lambda a: a.get("event") == "history")  # some clients wait for it


async def test_images_both_ways(bot: Phone, contact: Phone, engine: Engine) -> None:
    data = b"\xff\xd8 not really a picture" * 100
    image = Media.model_validate({"kind": "image", "data": base64.b64encode(data), "caption": "look"})
    await contact.send(PhoneMessage(to=BOT, media=image))
    message = await engine.text("look")
    assert contact.world.media_host.encode() in bytes.fromhex(message["raw"])  # the address for any client
    assert bytes.fromhex(await engine.tell("download", raw=message["raw"])) == data

    sent = await engine.tell("image", to=CONTACT, data=data.hex(), caption="look yourself")
    got = await entry(contact, "image")
    assert got.data["caption"] == "look yourself"
    assert contact.file_of(sent) == ("image/jpeg", data)


async def test_reactions_and_typing(bot: Phone, contact: Phone, engine: Engine) -> None:
    sent = await engine.tell("send", to=CONTACT, text="react to this")
    await entry(contact, "react to this")
    await contact.send(PhoneMessage(to=BOT, reaction=Reaction(id=sent, emoji="👍")))
    await engine.text("👍")
    await contact.typing(BOT)
    await engine.until(lambda a: a.get("event") == "typing")
    # presence needs a push name, which the engine has from its phone's settings
    await engine.tell("typing", to=CONTACT)
    await entry(contact, "composing", kind="typing")


async def test_group_messages_both_ways(bot: Phone, contact: Phone, engine: Engine) -> None:
    group = (await contact.groups.create("Lunch", [BOT]))["group"]
    await contact.send(PhoneMessage(to=group, text="who is in?"))
    message = await engine.text("who is in?")
    assert message["chat"] == group
    await engine.tell("send", to=group.partition("@")[0], server="g.us", text="me")
    got = await entry(contact, "me")
    assert (got.data["chat"], got.data["from"]) == (group, BOT)
    await contact.send(PhoneMessage(to=group, text="second"))
    await engine.text("second")
    await contact.read(chat=group)
    await engine.until(lambda a: a.get("type") == READ)


async def test_lost_sessions_heal_on_both_sides(bot: Phone, contact: Phone, engine: Engine) -> None:
    await contact.send(PhoneMessage(to=BOT, text="first"))
    await engine.text("first")
    await engine.tell("send", to=CONTACT, text="second")
    await entry(contact, "second")
    # the phone forgets: it cannot read the engine and asks again
    contact.keys.sessions.clear()
    await engine.tell("send", to=CONTACT, text="third")
    await entry(contact, "third")
    # the phone's session turns bad: the engine cannot read it and asks again
    session = next(s for address, s in contact.keys.sessions.items() if address.startswith(f"{bot.account.lid}:1"))
    session.states[0].root = session.states[0].sending.key
    session.states[0].sending = session.states[0].sending.__class__(b"x" * 32, 0)
    await contact.send(PhoneMessage(to=BOT, text="fourth"))
    await engine.text("fourth")


async def test_unlinking_logs_the_engine_out(bot: Phone, engine: Engine) -> None:
    await bot.unlink(1)
    await engine.until(lambda a: a.get("event") == "logged out")
    assert bot.to_json()["devices"] == [0]


async def test_a_refused_message_fails_at_the_engine(sandbox: RunningSandbox, bot: Phone, engine: Engine) -> None:
    await sandbox.phones.ensure(CONTACT, "Ana")
    sandbox.world.faults.refuse_messages(MessageError(463, times=1), BOT)
    with pytest.raises(AssertionError, match="server returned error 463"):
        await engine.tell("send", to=CONTACT, text="refused")
    await engine.tell("send", to=CONTACT, text="let through")


async def test_a_banned_engine_hears_why_and_for_how_long(sandbox: RunningSandbox, bot: Phone, engine: Engine) -> None:
    sandbox.world.faults.fail_logins(LoginFailure(402, {"code": "101", "expire": "3600"}), BOT)
    assert sandbox.world.faults.drop(BOT) == 1
    ban = await engine.until(lambda a: a.get("event") == "banned")
    assert (ban["code"], ban["seconds"]) == (1, 3600)  # the engine numbers the codes from 101 again


async def test_two_companions_of_one_phone(
    bot: Phone, contact: Phone, engine: Engine, sandbox: RunningSandbox, tmp_path: Path
) -> None:
    async with Engine(tmp_path / "second", sandbox.descriptor) as second:
        await second.tell("connect")
        assert await bot.pairing.scan(await second.qr()) == 2
        await second.until(lambda a: a.get("event") == "connected")
        await contact.send(PhoneMessage(to=BOT, text="to both"))
        await engine.text("to both")
        await second.text("to both")
        await engine.tell("send", to=CONTACT, text="from the first")
        assert (await second.text("from the first"))["from_me"]
        await entry(contact, "from the first")
        await bot.unlink(1)
        await engine.until(lambda a: a.get("event") == "logged out")
        await contact.send(PhoneMessage(to=BOT, text="to the second"))
        await second.text("to the second")
