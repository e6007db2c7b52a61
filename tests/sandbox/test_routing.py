"""Stanzas through the world: who gets what, in which order, with which addresses."""

import pytest
import pytest_asyncio

from tests.sandbox.recording import PEOPLE, Recorder, Town, fan_out
from zapwire.sandbox.server.handlers.devices import list_hash
from zapwire.sandbox.server.replies import SERVER
from zapwire.sandbox.server.state.accounts import AccountDevice, UnknownDevice
from zapwire.sandbox.server.state.mailbox import CAPACITY, Mailbox
from zapwire.wire.node import Node, WireJid


@pytest_asyncio.fixture
async def town():
    async with Town() as town:
        yield town


def texts(recorder: Recorder) -> list[str]:
    return [node.text("id") for node in recorder.all("message")]


async def test_a_message_reaches_every_device_with_both_addresses(town: Town) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    alice2, bob2 = town.companion("alice"), town.companion("bob")
    await alice2.send(fan_out(bob.jid, "m1", alice.jid, bob.jid, bob2.jid))
    for device in (bob, bob2):
        (message,) = device.all("message")
        assert message.jid("from") == alice2.jid
        assert message.text("sender_pn") == f"{PEOPLE['alice']}@s.whatsapp.net"
        assert (message.text("addressing_mode"), message.text("notify")) == ("lid", "Alice")
        assert message.child("enc").data == str(device.jid).encode()
    (own,) = alice.all("message")
    assert (own.jid("from"), own.jid("recipient")) == (alice2.jid, bob.jid)
    assert own.text("peer_recipient_pn") == f"{PEOPLE['bob']}@s.whatsapp.net"
    assert "sender_pn" not in own.attrs
    (ack,) = alice2.all("ack")
    assert (ack.text("class"), ack.text("id"), ack.jid("from")) == ("message", "m1", bob.jid)
    assert not ack.text("error")
    assert not ack.text("phash")


async def test_a_device_that_was_forgotten_is_told_by_the_hash(town: Town) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    bob2 = town.companion("bob")
    await alice.send(fan_out(bob.jid, "m1", bob.jid))
    assert alice.all("ack")[0].text("phash") == list_hash([alice.jid, bob.jid, bob2.jid])
    assert texts(bob2) == []


async def test_a_message_to_a_phone_number_is_delivered_by_lid(town: Town) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    number = WireJid(PEOPLE["bob"])
    await alice.send(fan_out(number, "m1", number))
    assert bob.all("message")[0].jid("from") == alice.jid
    assert alice.all("ack")[0].jid("from") == number


async def test_nobody_at_this_number(town: Town) -> None:
    alice = town.phones["alice"]
    await alice.send(fan_out(WireJid("999999999"), "m1", WireJid("999999999")))
    assert alice.all("ack")[0].text("error") == "404"


async def test_identity_travels_with_first_messages_only(town: Town) -> None:
    alice, bob = town.companion("alice"), town.phones["bob"]
    for number, kind in (("m1", "pkmsg"), ("m2", "msg")):
        message = fan_out(bob.jid, number, bob.jid, kind=kind)
        message.content += [Node("device-identity", {}, b"me"), Node("tctoken", {}, b"secret"), Node("meta")]
        await alice.send(message)
    first, second = bob.all("message")
    assert [part.tag for part in first.children] == ["enc", "meta", "device-identity"]
    assert [part.tag for part in second.children] == ["enc", "meta"]


async def test_what_waits_comes_in_order_and_before_what_is_new(town: Town) -> None:
    alice, bob = town.phones["alice"], town.companion("bob")
    account, device = bob.account, bob.account.devices[bob.number]
    town.world.detach(account, bob.number)
    for number in range(5):
        await alice.send(fan_out(bob.jid.bare, f"m{number}", bob.jid))
    later = Recorder(town.world, account, bob.number)
    town.world.attach(account, bob.number, later, hold=True)
    await alice.send(fan_out(bob.jid.bare, "m5", bob.jid))
    assert later.got == []
    await later.ask("set", "passive", Node("active"))
    await town.settle()
    await alice.send(fan_out(bob.jid.bare, "m6", bob.jid))
    kinds = [n.children[0].tag if n.tag == "ib" else n.text("id") for n in later.got if n.tag in {"ib", "message"}]
    assert kinds == ["offline_preview", "m0", "m1", "m2", "m3", "m4", "m5", "offline", "m6"]
    assert [n.text("offline") for n in later.all("message")] == ["0", "1", "2", "3", "4", "5", ""]
    preview, end = (n.children[0] for n in later.all("ib"))
    assert (preview.text("count"), preview.text("message"), end.text("count")) == ("6", "6", "6")
    assert device.mailbox.open


async def test_a_receipt_ends_the_waiting(town: Town) -> None:
    alice, bob = town.phones["alice"], town.companion("bob")
    for number in ("m1", "m2"):
        await alice.send(fan_out(bob.jid.bare, number, bob.jid))
    await bob.send(Node("receipt", {"id": "m1", "to": alice.jid}))
    town.world.detach(bob.account, bob.number)
    again = town.attach(bob.account, bob.number)
    await town.settle()
    assert texts(again) == ["m2"]


async def test_a_stanza_that_arrives_while_another_is_delivered_keeps_its_place(town: Town) -> None:
    alice, bob = town.phones["alice"], town.companion("bob")

    class Chatty(Recorder):
        async def deliver(self, node: Node) -> None:
            await super().deliver(node)
            if node.text("id") == "m1":
                await alice.send(fan_out(bob.jid.bare, "m3", bob.jid))

    chatty = Chatty(town.world, bob.account, bob.number)
    town.world.detach(bob.account, bob.number)
    for number in ("m1", "m2"):
        await alice.send(fan_out(bob.jid.bare, number, bob.jid))
    town.world.attach(bob.account, bob.number, chatty)
    await town.settle()
    assert texts(chatty) == ["m1", "m2", "m3"]


@pytest.mark.parametrize("kind", ["", "inactive", "read", "played"])
async def test_receipts_reach_all_devices_of_the_sender(town: Town, kind: str) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    alice2 = town.companion("alice")
    await bob.send(Node("receipt", {"id": "m1", "to": alice2.jid, "type": kind}))
    for device in (alice, alice2):
        (receipt,) = device.all("receipt")
        assert (receipt.jid("from"), receipt.text("type"), receipt.text("id")) == (bob.jid, kind, "m1")
    (ack,) = bob.all("ack")
    assert (ack.text("class"), ack.text("type"), ack.jid("from")) == ("receipt", kind, alice2.jid)


async def test_what_one_device_reads_the_others_know(town: Town) -> None:
    alice, bob, bob2 = town.phones["alice"], town.phones["bob"], town.companion("bob")
    await bob2.send(Node("receipt", {"id": "m1", "to": alice.jid, "type": "read"}))
    (receipt,) = bob.all("receipt")
    assert (receipt.text("type"), receipt.jid("recipient")) == ("read-self", alice.jid)


async def test_hidden_read_receipts_stay_with_the_reader(town: Town) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    await bob.ask("set", "privacy", Node("privacy", {}, [Node("category", {"name": "readreceipts", "value": "none"})]))
    await bob.send(Node("receipt", {"id": "m1", "to": alice.jid, "type": "read"}))
    assert alice.all("receipt") == []


async def test_a_retry_goes_to_the_sending_device_and_the_answer_to_the_asking_one(town: Town) -> None:
    alice, bob, alice2, bob2 = (
        town.phones["alice"],
        town.phones["bob"],
        town.companion("alice"),
        town.companion("bob"),
    )
    body = [Node("retry", {"count": "1", "id": "m1"}), Node("registration", {}, b"\0\0\0\1")]
    await bob2.send(Node("receipt", {"id": "m1", "to": alice2.jid, "type": "retry"}, body))
    assert alice.all("receipt") == []
    (retry,) = alice2.all("receipt", "retry")
    assert (retry.jid("from"), retry.children) == (bob2.jid, body)
    again = Node("message", {"to": bob2.jid, "id": "m1", "device_fanout": "false"}, [Node("enc", {"count": "1"}, b"x")])
    await alice2.send(again)
    assert bob2.all("message")[0].child("enc").text("count") == "1"
    assert bob.all("message") == []


async def test_peer_messages_stay_in_the_account(town: Town) -> None:
    alice, alice2 = town.phones["alice"], town.companion("alice")
    message = Node("message", {"to": alice.jid, "id": "p1", "category": "peer"}, [Node("enc", {}, b"x")])
    await alice2.send(message)
    (got,) = alice.all("message")
    assert (got.text("category"), got.text("recipient"), got.jid("from")) == ("peer", "", alice2.jid)


async def test_the_blocked_write_into_the_void(town: Town) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    answer = await bob.ask("set", "blocklist", Node("item", {"jid": alice.jid, "action": "block"}))
    assert answer.child("list", "item").jid("jid") == alice.jid
    await alice.send(fan_out(bob.jid, "m1", bob.jid))
    await alice.send(Node("chatstate", {"to": bob.jid}, [Node("composing")]))
    assert not alice.all("ack")[0].text("error")
    assert bob.all("message") == bob.all("chatstate") == []
    await bob.ask("set", "blocklist", Node("item", {"jid": alice.jid, "action": "unblock"}))
    await alice.send(fan_out(bob.jid, "m2", bob.jid))
    assert texts(bob) == ["m2"]


async def test_presence_for_those_who_subscribed(town: Town) -> None:
    alice, bob, carl = town.phones["alice"], town.phones["bob"], town.phones["carl"]
    await alice.send(Node("presence", {"type": "subscribe", "to": WireJid(PEOPLE["bob"])}))
    await bob.send(Node("presence", {"type": "available", "name": "Bobby"}))
    town.world.detach(bob.account, 0)
    await town.settle()
    seen = [(p.text("from"), p.text("type")) for p in alice.all("presence")]
    address = f"{PEOPLE['bob']}@s.whatsapp.net"
    assert seen == [(address, "unavailable"), (address, "available"), (address, "unavailable")]
    assert bob.account.push_name == "Bobby"
    assert carl.all("presence") == []


async def test_unknown_stanzas_are_refused_and_counted(town: Town) -> None:
    alice = town.phones["alice"]
    await alice.send(Node("teleport", {"id": "x1"}))
    (ack,) = alice.all("ack")
    assert (ack.text("class"), ack.text("id"), ack.text("error")) == ("teleport", "x1", "488")
    answer = await alice.ask("get", "w:teleport", Node("where"))
    assert answer.text("type") == "error"
    assert (answer.child("error").text("code"), answer.child("error").text("text")) == (
        "501",
        "feature-not-implemented",
    )
    assert dict(town.world.statistics.unhandled) == {"teleport": 1, "iq get w:teleport where": 1}


async def test_a_device_that_is_gone_cannot_speak(town: Town) -> None:
    with pytest.raises(UnknownDevice):
        await town.world.handle(town.account("alice"), 7, Node("presence"))


async def test_unlinking_tells_everybody_concerned(town: Town) -> None:
    alice, bob, alice2 = town.phones["alice"], town.phones["bob"], town.companion("alice")
    query = [Node("query", {}, [Node("devices")]), Node("list", {}, [Node("user", {"jid": alice.jid})])]
    answer = await bob.ask("get", "usync", Node("usync", {"sid": "1"}, query))
    devices = answer.child("usync", "list", "user", "devices", "device-list").children
    assert [d.text("id") for d in devices] == ["0", "1"]
    await town.world.remove_device(alice.account, alice2.number)
    (error,) = alice2.all("stream:error")
    assert (error.text("code"), error.child("conflict").text("type")) == ("401", "device_removed")
    assert alice.all("notification", "account_sync")[-1].child("devices").text("dhash") == list_hash([alice.jid])
    assert bob.all("notification", "devices")[-1].jid("from") == alice.jid
    with pytest.raises(UnknownDevice):
        await town.world.remove_device(alice.account, 0)


async def test_prekeys_are_given_away_once(town: Town) -> None:
    alice, bob2 = town.phones["alice"], town.companion("bob")
    asked = Node("key", {}, [Node("user", {"jid": bob2.jid, "reason": "identity"})])
    numbers = []
    for _ in range(4):
        user = (await alice.ask("get", "encrypt", asked)).child("list", "user")
        key = user.child("key", "id")
        numbers.append(int.from_bytes(key.data, "big") if key else None)
        assert user.child("device-identity").data == b"identity"
    assert numbers == [1, 2, 3, None]
    low = [n.child("count").text("value") for n in bob2.all("notification", "encrypt")]
    assert low == ["0"]
    missing = await alice.ask("get", "encrypt", Node("key", {}, [Node("user", {"jid": bob2.jid.with_device(9)})]))
    assert missing.child("list", "user", "error").text("code") == "404"


async def test_a_companion_cannot_change_its_identity(town: Town) -> None:
    bob2 = town.companion("bob")
    skey = [Node("id", {}, b"\0\0\1"), Node("value", {}, bytes(32)), Node("signature", {}, bytes(64))]
    parts = {"registration": bytes(4), "identity": b"x" * 32}
    body = [Node(tag, {}, data) for tag, data in parts.items()]
    answer = await bob2.ask("set", "encrypt", *body, Node("skey", {}, skey))
    assert answer.child("error").text("code") == "406"


async def test_app_state_grows_by_version(town: Town) -> None:
    alice, alice2 = town.phones["alice"], town.companion("alice")

    async def push(version: str) -> Node:
        collection = Node("collection", {"name": "regular", "version": version}, [Node("patch", {}, b"\x2a\x01k")])
        answer = await alice.ask("set", "w:sync:app:state", Node("sync", {}, [collection]))
        return answer.child("sync", "collection")

    assert (await push("0")).text("version") == "1"
    conflict = await push("0")
    assert (conflict.text("type"), conflict.child("error").text("code")) == ("error", "409")
    assert len(conflict.child("patches").children) == 1
    assert (await push("1")).text("version") == "2"
    assert [n.child("collection").text("version") for n in alice2.all("notification", "server_sync")] == ["1", "2"]
    asked = Node("sync", {}, [Node("collection", {"name": "regular", "version": "1"})])
    got = (await alice2.ask("set", "w:sync:app:state", asked)).child("sync", "collection")
    (patch,) = got.child("patches").children
    assert patch.data == b"\x0a\x02\x08\x02" + b"\x2a\x01k"  # the version was written in front


async def test_calls_are_passed_on(town: Town) -> None:
    alice, bob, bob2 = town.phones["alice"], town.phones["bob"], town.companion("bob")
    offer = Node("offer", {"call-id": "c1", "call-creator": alice.jid})
    await alice.send(Node("call", {"to": bob.jid, "id": "k1"}, [offer]))
    for device in (bob, bob2):
        (call,) = device.all("call")
        assert (call.jid("from"), call.children) == (alice.jid, [offer])
    assert alice.all("ack")[0].text("type") == "offer"


async def test_iq_answers_go_back_to_the_address_asked(town: Town) -> None:
    answer = await town.phones["alice"].ask("get", "w:p")
    assert (answer.jid("from"), answer.text("type")) == (SERVER, "result")


def test_a_full_mailbox_drops_the_oldest() -> None:
    box = Mailbox()
    for number in range(CAPACITY + 2):
        box.put(Node("message", {"id": str(number)}))
    assert box.dropped == 2
    assert len(box.unsent) == CAPACITY
    assert box.take().text("id") == "2"


def test_messages_and_receipts_of_one_id_wait_apart() -> None:
    device = AccountDevice(1)
    device.mailbox.put(Node("message", {"id": "m", "from": WireJid("1", "lid")}))
    device.mailbox.put(Node("receipt", {"id": "m", "from": WireJid("1", "lid"), "type": "read"}))
    assert len(device.mailbox.waiting) == 2
    device.mailbox.put(Node("message", {"id": "m", "from": WireJid("1", "lid"), "t": "2"}))
    assert [n.tag for n in iter(device.mailbox.take, None)] == ["receipt", "message"]


async def test_every_kind_of_stanza_waits_for_its_own_acknowledgement(town: Town) -> None:
    alice, bob = town.companion("alice"), town.phones["bob"]
    group = town.world.groups.create("Lunch", alice.account)
    group.members[bob.account.lid] = ""
    for participant in (alice.jid, alice.jid.bare):
        receipt = {"id": "m1", "to": group.jid, "participant": participant, "type": "read"}
        await bob.send(Node("receipt", receipt))
    (waiting,) = [n for n in alice.account.devices[1].mailbox.waiting.values() if n.tag == "receipt"]
    assert waiting.jid("participant") == bob.jid
    ack = {"class": "receipt", "id": "m1", "to": group.jid, "type": "read"}
    await alice.send(Node("ack", {**ack, "participant": alice.jid}))
    assert any(n.tag == "receipt" for n in alice.account.devices[1].mailbox.waiting.values())
    await alice.send(Node("ack", {**ack, "participant": bob.jid}))
    assert not any(n.tag == "receipt" for n in alice.account.devices[1].mailbox.waiting.values())


async def test_saying_active_twice_sends_nothing_twice(town: Town) -> None:
    alice, bob = town.phones["alice"], town.companion("bob")
    town.world.detach(bob.account, bob.number)
    await alice.send(fan_out(bob.jid.bare, "m1", bob.jid))
    again = Recorder(town.world, bob.account, bob.number)
    town.world.attach(bob.account, bob.number, again, hold=True)
    for _ in range(2):
        await again.ask("set", "passive", Node("active"))
    await town.settle()
    assert texts(again) == ["m1"]
    assert [n.children[0].tag for n in again.all("ib")] == ["offline_preview", "offline"]
