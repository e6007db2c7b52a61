"""Groups through the world: members, rights, notifications, messages."""

import pytest
import pytest_asyncio

from tests.sandbox.recording import PEOPLE, Recorder, Town
from zapwire.sandbox.server.handlers.devices import list_hash
from zapwire.wire.node import Node, WireJid

SERVER = WireJid("", "g.us")


@pytest_asyncio.fixture
async def town():
    async with Town() as town:
        yield town


def person(recorder: Recorder) -> Node:
    return Node("participant", {"jid": recorder.jid.bare})


async def create(maker: Recorder, *members: Recorder) -> WireJid:
    request = Node("create", {"subject": "Lunch"}, [person(member) for member in members])
    answer = await maker.ask("set", "w:g2", request, to=SERVER)
    return WireJid(answer.child("group").text("id"), "g.us")


def told(recorder: Recorder) -> list[str]:
    return [n.children[0].tag for n in recorder.all("notification", "w:gp2")]


def roles(group: Node) -> dict[str, str]:
    return {p.text("phone_number").partition("@")[0]: p.text("type") for p in group.all("participant")}


async def test_creating_tells_every_device_its_maker_included(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    alice2, bob2 = town.companion("alice"), town.companion("bob")
    group = await create(alice, bob)
    for device in (alice, alice2, bob, bob2):
        (notification,) = device.all("notification", "w:gp2")
        assert (notification.jid("from"), notification.jid("participant")) == (group, alice.jid)
        assert roles(notification.child("create", "group")) == {PEOPLE["alice"]: "superadmin", PEOPLE["bob"]: ""}
    assert told(carl) == []


async def test_info_is_for_members(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    group = await create(alice, bob)
    answer = await bob.ask("get", "w:g2", Node("query", {"request": "interactive"}), to=group)
    node = answer.child("group")
    assert (node.text("subject"), node.text("addressing_mode"), node.text("size")) == ("Lunch", "lid", "2")
    assert (node.jid("creator"), node.text("creator_pn")) == (alice.jid, f"{PEOPLE['alice']}@s.whatsapp.net")
    refused = await carl.ask("get", "w:g2", Node("query"), to=group)
    assert refused.child("error").text("code") == "403"
    unknown = await carl.ask("get", "w:g2", Node("query"), to=WireJid("1", "g.us"))
    assert unknown.child("error").text("code") == "404"
    listed = await bob.ask("get", "w:g2", Node("participating"), to=SERVER)
    assert [g.text("id") for g in listed.child("groups").children] == [group.user]


async def test_adding_and_removing(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    group = await create(alice, bob)
    unknown = Node("participant", {"jid": WireJid("999999999")})
    answer = await alice.ask("set", "w:g2", Node("add", {}, [person(carl), person(bob), unknown]), to=group)
    assert [p.text("error") for p in answer.child("add").children] == ["", "409", "404"]
    assert (told(alice), told(bob), told(carl)) == (["create", "add"], ["create", "add"], ["create"])
    refused = await bob.ask("set", "w:g2", Node("remove", {}, [person(carl)]), to=group)
    assert refused.child("error").text("code") == "403"
    await alice.ask("set", "w:g2", Node("remove", {}, [person(carl)]), to=group)
    assert told(carl) == ["create", "remove"]
    assert told(alice)[-1] == told(bob)[-1] == "remove"


async def test_promoting_gives_rights_and_demoting_takes_them(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    group = await create(alice, bob, carl)
    await alice.ask("set", "w:g2", Node("promote", {}, [person(bob)]), to=group)
    assert (await bob.ask("set", "w:g2", Node("remove", {}, [person(carl)]), to=group)).text("type") == "result"
    owner = await bob.ask("set", "w:g2", Node("remove", {}, [person(alice)]), to=group)
    assert owner.child("remove", "participant").text("error") == "406"
    await alice.ask("set", "w:g2", Node("demote", {}, [person(bob)]), to=group)
    assert (await bob.ask("get", "w:g2", Node("invite"), to=group)).child("error").text("code") == "403"


async def test_subject_and_description(town: Town) -> None:
    alice, bob, _ = town.phones.values()
    group = await create(alice, bob)
    await bob.ask("set", "w:g2", Node("subject", {}, b"Dinner"), to=group)
    first = Node("description", {"id": "d1"}, [Node("body", {}, b"at eight")])
    await bob.ask("set", "w:g2", first, to=group)
    stale = await alice.ask("set", "w:g2", Node("description", {"id": "d2", "prev": "d0"}, first.content), to=group)
    assert stale.child("error").text("code") == "409"
    node = (await alice.ask("get", "w:g2", Node("query"), to=group)).child("group")
    assert (node.text("subject"), node.jid("s_o")) == ("Dinner", bob.jid)
    assert (node.child("description").text("id"), node.child("description", "body").data) == ("d1", b"at eight")
    await alice.ask("set", "w:g2", Node("locked"), to=group)
    assert (await bob.ask("set", "w:g2", Node("subject", {}, b"x"), to=group)).child("error").text("code") == "403"
    assert told(bob) == ["create", "subject", "description", "locked"]


async def test_joining_by_link_until_it_is_revoked(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    group = await create(alice)
    code = (await alice.ask("get", "w:g2", Node("invite"), to=group)).child("invite").text("code")
    seen = await bob.ask("get", "w:g2", Node("invite", {"code": code}), to=SERVER)
    assert seen.child("group").text("subject") == "Lunch"
    joined = await bob.ask("set", "w:g2", Node("invite", {"code": code}), to=SERVER)
    assert joined.child("group").jid("jid") == group
    assert (told(alice), told(bob)) == (["create", "add"], ["create"])
    await alice.ask("set", "w:g2", Node("invite"), to=group)
    late = await carl.ask("set", "w:g2", Node("invite", {"code": code}), to=SERVER)
    assert late.child("error").text("code") == "406"


async def test_leaving_makes_the_longest_member_admin_and_the_last_one_ends_it(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    group = await create(alice, bob, carl)
    leave = Node("leave", {}, [Node("group", {"id": group})])
    await alice.ask("set", "w:g2", leave, to=SERVER)
    assert told(alice)[-1] == told(carl)[-1] == "remove"
    node = (await carl.ask("get", "w:g2", Node("query"), to=group)).child("group")
    assert roles(node) == {PEOPLE["bob"]: "admin", PEOPLE["carl"]: ""}
    await bob.ask("set", "w:g2", leave, to=SERVER)
    await carl.ask("set", "w:g2", leave, to=SERVER)
    assert town.world.groups.get(group) is None


def group_message(group: WireJid, number: str, *fresh: WireJid, phash: str = "") -> Node:
    keys = [Node("to", {"jid": jid}, [Node("enc", {"type": "pkmsg"}, b"key")]) for jid in fresh]
    parts = [Node("participants", {}, keys), Node("enc", {"type": "skmsg"}, b"shared")]
    return Node("message", {"to": group, "id": number, "type": "text", "phash": phash}, parts)


async def test_a_group_message_brings_the_key_first(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    alice2, bob2 = town.companion("alice"), town.companion("bob")
    group = await create(alice, bob)
    everybody = [alice.jid, alice2.jid, bob.jid, bob2.jid]
    await alice2.send(group_message(group, "m1", bob.jid, phash=list_hash(everybody)))
    for device, kinds in ((bob, ["pkmsg", "skmsg"]), (bob2, ["skmsg"]), (alice, ["skmsg"])):
        (message,) = device.all("message")
        assert [enc.text("type") for enc in message.all("enc")] == kinds
        assert (message.jid("from"), message.jid("participant")) == (group, alice2.jid)
        assert message.text("participant_pn") == f"{PEOPLE['alice']}@s.whatsapp.net"
    assert alice2.all("message") == carl.all("message") == []
    assert not alice2.all("ack")[-1].text("phash")


async def test_a_stale_member_list_is_told_by_the_hash(town: Town) -> None:
    alice, bob, _ = town.phones.values()
    group = await create(alice, bob)
    await alice.send(group_message(group, "m1", phash=list_hash([alice.jid])))
    assert alice.all("ack")[-1].text("phash") == list_hash([alice.jid, bob.jid])


@pytest.mark.parametrize(("who", "error"), [("bob", "403"), ("carl", "403")])
async def test_who_may_not_write(town: Town, who: str, error: str) -> None:
    alice, bob, _ = town.phones.values()
    group = await create(alice, bob)
    await alice.ask("set", "w:g2", Node("announcement"), to=group)
    await town.phones[who].send(group_message(group, "m1"))
    assert town.phones[who].all("ack")[-1].text("error") == error
    assert alice.all("message") == []


async def test_receipts_and_retries_of_group_messages_find_their_sender(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    alice2 = town.companion("alice")
    group = await create(alice, bob, carl)
    await bob.send(Node("receipt", {"id": "m1", "to": group, "participant": alice2.jid, "type": "read"}))
    for device in (alice, alice2):
        (receipt,) = device.all("receipt")
        assert (receipt.jid("from"), receipt.jid("participant")) == (group, bob.jid)
    retry = Node("receipt", {"id": "m1", "to": group, "participant": alice2.jid, "type": "retry"})
    await bob.send(retry)
    assert len(alice.all("receipt")) == 1
    assert alice2.all("receipt", "retry")[0].jid("participant") == bob.jid
    again = Node("message", {"to": group, "id": "m1", "participant": bob.jid}, [Node("enc", {"type": "pkmsg"}, b"x")])
    await alice2.send(again)
    assert [m.text("id") for m in bob.all("message")] == ["m1"]
    assert carl.all("message") == []


async def test_typing_in_a_group(town: Town) -> None:
    alice, bob, carl = town.phones.values()
    group = await create(alice, bob)
    await alice.send(Node("chatstate", {"to": group}, [Node("composing")]))
    (state,) = bob.all("chatstate")
    assert (state.jid("from"), state.jid("participant")) == (group, alice.jid)
    assert alice.all("chatstate") == carl.all("chatstate") == []


async def test_a_group_picture_is_told_to_members(town: Town) -> None:
    alice, bob, _ = town.phones.values()
    group = await create(alice, bob)
    picture = Node("picture", {"type": "image"}, b"\xff\xd8picture")
    answer = await alice.ask("set", "w:profile:picture", picture, target=group)
    number = answer.child("picture").text("id")
    assert bob.all("notification", "picture")[0].child("set").text("id") == number
    got = await bob.ask("get", "w:profile:picture", Node("picture", {"query": "url"}), target=group)
    assert got.child("picture").text("direct_path").startswith(f"/pictures/{number}")
    bad = await alice.ask("set", "w:profile:picture", Node("picture", {"type": "image"}, b"GIF89a"), target=group)
    assert bad.child("error").text("code") == "406"
