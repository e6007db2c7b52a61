"""Virtual phones among themselves, through the world, without sockets."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import zapwire.neonize_protos  # noqa: F401

# isort: split
from neonize.proto.waAdv.WAAdv_pb2 import ADVSignedDeviceIdentity
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import Message

from zapwire.sandbox.phones.compose import Edit, Media, PhoneMessage, Reaction
from zapwire.sandbox.phones.errors import BadRequest, NotOnWhatsApp, PhoneError, ServerRefused, UnknownPhone
from zapwire.sandbox.phones.inbox import CAPACITY, Inbox, InboxEntry
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.phones.phone_registry import Phones, number_from
from zapwire.sandbox.server.handlers.devices import list_hash
from zapwire.sandbox.server.state.faults import MessageError
from zapwire.sandbox.server.world import World
from zapwire.sandbox.signal.keystore import KeyStore
from zapwire.wire import adv
from zapwire.wire.node import Node, WireJid

ANA, BOB, CARL = "4915100000001", "4915100000002", "4915100000003"


@pytest_asyncio.fixture
async def phones() -> AsyncIterator[Phones]:
    world = World()
    phones = Phones(world)
    yield phones
    await phones.aclose()
    await world.aclose()


@pytest_asyncio.fixture
async def ana(phones: Phones) -> Phone:
    return (await phones.ensure(ANA, "Ana"))[0]


@pytest_asyncio.fixture
async def bob(phones: Phones) -> Phone:
    return (await phones.ensure(BOB, "Bob"))[0]


@pytest_asyncio.fixture
async def carl(phones: Phones) -> Phone:
    return (await phones.ensure(CARL, "Carl"))[0]


async def next_entry(phone: Phone, kind: str, after: int = 0) -> InboxEntry:
    entries = await phone.inbox.wait_after(after, 5, {kind})
    assert entries, f"no {kind} came"
    return entries[-1]


async def test_a_text_is_delivered_and_read(ana: Phone, bob: Phone):
    number = await ana.send(PhoneMessage(to=f"+{BOB}", text="hello"))
    message = await next_entry(bob, "message")
    assert message.data["id"] == number
    assert (message.data["from"], message.data["chat"], message.data["text"]) == (ANA, ANA, "hello")
    assert message.data["name"] == "Ana"
    delivered = await next_entry(ana, "receipt")
    assert (delivered.data["receipt"], delivered.data["ids"], delivered.data["from"]) == ("delivered", [number], BOB)
    assert await bob.read() == 1
    read = await next_entry(ana, "receipt", delivered.seq)
    assert (read.data["receipt"], read.data["ids"]) == ("read", [number])
    assert await bob.read() == 0


async def test_many_are_read_with_one_receipt(ana: Phone, bob: Phone):
    await ana.send(PhoneMessage(to=BOB, text="again", times=5))
    async with asyncio.timeout(5):
        while len(messages := bob.inbox.after(0, {"message"})) < 5:
            await bob.inbox.wait_after(bob.inbox.last, 5)
    assert await bob.read(chat=ANA) == 5
    async with asyncio.timeout(5):
        while not (read := [e for e in ana.inbox.after(0, {"receipt"}) if e.data["receipt"] == "read"]):
            await ana.inbox.wait_after(ana.inbox.last, 5)
    assert read[0].data["ids"] == [message.data["id"] for message in messages]


async def test_answers_reactions_edits_and_deletions_refer_to_messages(ana: Phone, bob: Phone):
    number = await ana.send(PhoneMessage(to=BOB, text="hello"))
    seq = (await next_entry(bob, "message")).seq
    await bob.send(PhoneMessage(to=ANA, text="hello yourself", reply_to=number))
    assert (await next_entry(ana, "message")).data["quoted"] == number
    for body, wanted in (
        (PhoneMessage(to=BOB, edit=Edit(id=number, text="bye")), {"type": "edit", "target": number, "text": "bye"}),
        (PhoneMessage(to=BOB, delete=number), {"type": "revoke", "target": number}),
        (PhoneMessage(to=BOB, reaction=Reaction(id=number, emoji="x")), {"type": "reaction", "target": number}),
    ):
        await ana.send(body)
        entry = await next_entry(bob, "message", seq)
        assert wanted.items() <= entry.data.items()
        seq = entry.seq
    with pytest.raises(UnknownPhone):
        await ana.send(PhoneMessage(to=BOB, reaction=Reaction(id="never", emoji="x")))


async def test_a_file_travels_encrypted(ana: Phone, bob: Phone):
    media = Media.model_validate({"kind": "document", "data": base64.b64encode(b"secret text"), "filename": "a.txt"})
    number = await ana.send(PhoneMessage(to=BOB, media=media))
    entry = await next_entry(bob, "message")
    assert (entry.data["type"], entry.data["filename"], entry.data["size"]) == ("document", "a.txt", 11)
    assert bob.file_of(number) == ("application/octet-stream", b"secret text")
    assert all(b"secret" not in data for data in ana.world.media.files().values())
    text = await ana.send(PhoneMessage(to=BOB, text="no file"))
    with pytest.raises(UnknownPhone, match="no file"):
        ana.file_of(text)
    with pytest.raises(UnknownPhone):
        ana.file_of("never")


async def test_typing_is_seen(ana: Phone, bob: Phone):
    await ana.typing(BOB, "recording")
    entry = await next_entry(bob, "typing")
    assert (entry.data["from"], entry.data["state"]) == (ANA, "recording")
    await ana.typing(BOB, "paused")
    assert (await next_entry(bob, "typing", entry.seq)).data["state"] == "paused"
    with pytest.raises(PhoneError):
        await ana.typing(BOB, "dancing")


@pytest.mark.parametrize("to", ["4915199999999", "+4915199999999", "4915199999999@s.whatsapp.net", "@", "x:y@lid"])
async def test_a_number_that_nobody_has_is_not_on_whatsapp(ana: Phone, to: str):
    with pytest.raises(NotOnWhatsApp):
        await ana.send(PhoneMessage(to=to, text="anyone there?"))


async def test_a_group_with_members_that_come_and_go(ana: Phone, bob: Phone, carl: Phone):
    group = (await ana.groups.create("Lunch", [BOB]))["group"]
    await ana.send(PhoneMessage(to=group, text="one"))
    assert (await next_entry(bob, "message")).data["chat"] == group
    assert (await ana.groups.info(WireJid.parse(group)))["members"] == [ANA, BOB]

    await ana.groups.change_members(WireJid.parse(group), "add", [CARL])
    await ana.send(PhoneMessage(to=group, text="two"))
    assert (await next_entry(carl, "message")).data["text"] == "two"
    await carl.send(PhoneMessage(to=group, text="three"))
    assert (await next_entry(ana, "message")).data["from"] == CARL
    key = ana.keys.own_sender_key(group).key_id

    await ana.groups.change_members(WireJid.parse(group), "remove", [CARL])
    await ana.send(PhoneMessage(to=group, text="four"))
    assert ana.keys.own_sender_key(group).key_id != key, "somebody who left must not be able to read on"
    seq = (await next_entry(bob, "message")).seq
    assert [e.data["text"] for e in carl.inbox.after(0, {"message"})] == ["two"]
    with pytest.raises(PhoneError):
        await carl.send(PhoneMessage(to=group, text="still here?"))

    code = await ana.groups.invite_code(WireJid.parse(group))
    assert await carl.groups.join(f"https://chat.invalid/{code}") == group
    assert [g["subject"] for g in await carl.groups.joined()] == ["Lunch"]
    await carl.send(PhoneMessage(to=group, text="back"))
    assert (await next_entry(bob, "message", seq)).data["text"] == "back"
    await carl.groups.leave(WireJid.parse(group))
    assert await carl.groups.joined() == []
    await ana.groups.set_subject(WireJid.parse(group), "Dinner")
    assert (await bob.groups.info(WireJid.parse(group)))["subject"] == "Dinner"
    with pytest.raises(BadRequest):
        await ana.groups.change_members(WireJid.parse(group), "hug", [BOB])
    with pytest.raises(NotOnWhatsApp):
        await ana.groups.create("Nobody", ["4915199999999"])


async def test_lost_keys_heal_by_asking_again(ana: Phone, bob: Phone):
    await ana.send(PhoneMessage(to=BOB, text="one"))
    seq = (await next_entry(bob, "message")).seq
    bob.keys.sessions.clear()
    await ana.send(PhoneMessage(to=BOB, text="two"))
    entry = await next_entry(bob, "message", seq)
    assert entry.data["text"] == "two"
    await bob.send(PhoneMessage(to=ANA, text="three"))
    assert (await next_entry(ana, "message")).data["text"] == "three"
    group = (await ana.groups.create("Lunch", [BOB]))["group"]
    await ana.send(PhoneMessage(to=group, text="four"))
    entry = await next_entry(bob, "message", entry.seq)
    bob.keys.their_sender_keys.clear()
    await ana.send(PhoneMessage(to=group, text="five"))
    assert (await next_entry(bob, "message", entry.seq)).data["text"] == "five"


async def test_a_key_used_twice_is_not_taken_for_a_message_that_came_twice(ana: Phone, bob: Phone):
    await ana.send(PhoneMessage(to=bob.account.phone, text="first"))
    await next_entry(bob, "message")
    session = ana.keys.sessions[f"{bob.account.lid_jid}"]
    position = session.states[0].sending
    await ana.send(PhoneMessage(to=bob.account.phone, text="second"))
    second = await next_entry(bob, "message", after=1)
    session.states[0].sending = position
    await ana.send(PhoneMessage(to=bob.account.phone, text="third"))
    third = await next_entry(bob, "message", after=second.seq)
    assert (second.data["text"], third.data["text"]) == ("second", "third")


async def test_a_retry_receipt_without_keys_gets_a_session_with_keys_of_the_server(ana: Phone, bob: Phone):
    number = await ana.send(PhoneMessage(to=BOB, text="one"))
    seq = (await next_entry(bob, "message")).seq
    bob.keys.sessions.clear()
    retry = Node("retry", {"count": "1", "id": number, "t": "1", "v": "1"})
    await ana.deliver(Node("receipt", {"id": number, "from": bob.account.lid_jid, "type": "retry"}, [retry]))
    assert (await next_entry(bob, "message", seq)).data["id"] == number
    asked_again = [kind for kind in ana.world.statistics.received if "retry" in kind and kind.startswith("receipt")]
    assert asked_again == []


async def test_garbage_is_asked_for_again_five_times_and_then_told(ana: Phone, bob: Phone):
    enc = Node("enc", {"v": "2", "type": "msg"}, b"garbage")
    attrs = {"id": "X1", "from": ana.account.lid_jid, "type": "text", "t": "1"}
    for _ in range(6):
        await bob.deliver(Node("message", dict(attrs), [enc]))
    entry = await next_entry(bob, "unreadable")
    assert entry.data["id"] == "X1"
    assert bob.inbox.after(0, {"message"}) == []
    await ana.send(PhoneMessage(to=BOB, text="still alive"))
    assert (await next_entry(bob, "message")).data["text"] == "still alive"


async def test_a_companion_has_to_show_that_its_phone_vouches_for_it(ana: Phone, bob: Phone):
    companion = KeyStore.generate()
    sender = ana.account.lid_jid.with_device(1)
    signed = adv.sign_device(ana.keys.identity, companion.identity.public, raw_id=1, key_index=1, timestamp=1)
    vouched = ADVSignedDeviceIdentity.FromString(signed)
    subject = vouched.details + companion.identity.public + ana.keys.identity.public
    vouched.deviceSignature = companion.identity.sign(b"\x06\x01" + subject)
    for number, proof in enumerate((None, signed, b"\xff", vouched.SerializeToString())):
        companion.start_session("bob", bob.keys.own_bundle())
        kind, data = companion.encrypt("bob", Message(conversation=f"try {number}").SerializeToString())
        parts = [Node("enc", {"v": "2", "type": kind}, data)]
        parts += [Node("device-identity", {}, proof)] if proof else []
        attrs = {"id": f"X{number}", "from": sender, "type": "text", "t": "1"}
        await bob.deliver(Node("message", attrs, parts))
    assert (await next_entry(bob, "message")).data["text"] == "try 3"
    assert len(bob.inbox.after(0, {"message"})) == 1


async def test_a_message_is_refused_on_demand(ana: Phone, bob: Phone):
    faults = ana.world.faults
    faults.refuse_messages(MessageError(463, times=1), ana.account.phone)
    with pytest.raises(ServerRefused, match="463"):
        await ana.send(PhoneMessage(to=bob.account.phone, text="refused"))
    await bob.send(PhoneMessage(to=ana.account.phone, text="not concerned"))
    await ana.send(PhoneMessage(to=bob.account.phone, text="let through"))
    faults.refuse_messages(MessageError(479))
    with pytest.raises(ServerRefused, match="479"):
        await bob.send(PhoneMessage(to=ana.account.phone, text="refused"))
    faults.clear()
    await bob.send(PhoneMessage(to=ana.account.phone, text="let through"))
    assert [e.data["text"] for e in await bob.inbox.wait_after(0, 5, {"message"})] == ["let through"]


async def test_blocked_accounts_and_pictures_reach_the_server(ana: Phone, bob: Phone):
    await ana.block(BOB)
    assert ana.account.blocked
    await ana.block(BOB, on=False)
    assert not ana.account.blocked
    await ana.set_picture(b"\xff\xd8jpeg")
    assert ana.account.picture is not None
    assert ana.account.picture.data == b"\xff\xd8jpeg"


async def test_phones_survive_a_restart(phones: Phones, ana: Phone, bob: Phone):
    await ana.send(PhoneMessage(to=BOB, text="before"))
    entry = await next_entry(bob, "message")
    await phones.aclose()
    saved = json.loads(json.dumps(phones.to_json()))
    again = Phones(phones.world)
    await again.restore(saved)
    try:
        ana, bob = again.get(ANA), again.get(BOB)
        assert bob.inbox.find(entry.data["id"]) is not None
        await ana.send(PhoneMessage(to=BOB, text="after"))
        after = await next_entry(bob, "message", entry.seq)
        assert after.data["text"] == "after"
        assert after.seq > entry.seq
        bob.keys.sessions.clear()
        await ana.send(PhoneMessage(to=BOB, text="healed"))
        assert (await next_entry(bob, "message", after.seq)).data["text"] == "healed"
    finally:
        await again.aclose()


async def test_after_a_crash_no_key_is_used_twice(phones: Phones, ana: Phone, bob: Phone):
    group = (await ana.groups.create("Lunch", [BOB]))["group"]
    await ana.send(PhoneMessage(to=BOB, text="saved"))
    await ana.send(PhoneMessage(to=group, text="saved in the group"))
    saved = json.loads(json.dumps(phones.to_json()))
    await ana.send(PhoneMessage(to=BOB, text="after the last save"))
    await ana.send(PhoneMessage(to=group, text="after the last save too"))
    async with asyncio.timeout(5):
        while len(bob.inbox.after(0, {"message"})) < 4:
            await bob.inbox.wait_after(bob.inbox.last, 5)
    await ana.aclose()
    again = Phones(phones.world)
    await again.restore([state for state in saved if state["phone"] == ANA])
    try:
        for to in (BOB, group):
            seq = bob.inbox.last
            await again.get(ANA).send(PhoneMessage(to=to, text="after the crash"))
            assert (await next_entry(bob, "message", seq)).data["text"] == "after the crash"
    finally:
        await again.aclose()


async def test_scans_and_codes_that_lead_nowhere_say_so(ana: Phone, phones: Phones):
    with pytest.raises(BadRequest):
        await ana.pairing.scan("no code")
    key = base64.b64encode(b"k" * 32).decode()
    with pytest.raises(PhoneError, match="reference"):
        await ana.pairing.scan(f"2@old,{key},{key},{key}")
    with pytest.raises(PhoneError, match="no client waits"):
        await ana.pairing.enter_code("ABCD-1234")
    with pytest.raises(UnknownPhone):
        await ana.unlink(3)
    with pytest.raises(UnknownPhone):
        await ana.unlink(0)
    with pytest.raises(UnknownPhone):
        phones.get("4915199999999")
    with pytest.raises(BadRequest):
        await phones.ensure("no number")


def test_numbers_come_from_names():
    assert number_from("user 4915100000009") == "4915100000009"
    assert number_from("Ana") == number_from("Ana")
    assert number_from("Ana") != number_from("Bob")
    assert number_from("Ana").isdecimal()
    assert number_from("") == ""


async def test_an_unused_number_is_unused(phones: Phones):
    first = phones.unused_number()
    await phones.ensure(first)
    assert phones.unused_number() not in {first, ""}


async def test_an_inbox_is_bounded_and_waits():
    inbox = Inbox()
    assert await inbox.wait_after(0, 0) == []
    waiting = asyncio.create_task(inbox.wait_after(0, 5, {"b"}))
    await asyncio.sleep(0)
    inbox.add("a", {})
    inbox.add("b", {})
    assert [entry.kind for entry in await waiting] == ["b"]
    for _ in range(CAPACITY):
        inbox.add("c", {})
    assert len(inbox.entries) == CAPACITY
    assert inbox.last == CAPACITY + 2


def test_the_hash_of_a_device_list_does_not_depend_on_its_order():
    one, two = WireJid("1", "lid", 2), WireJid("3", "lid")
    assert list_hash([one, two]) == list_hash([two, one])
    assert list_hash([]) == "2:47DEQpj8"
