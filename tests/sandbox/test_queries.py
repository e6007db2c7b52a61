"""Questions about people and settings, through the world."""

import hashlib
import json

import pytest
import pytest_asyncio

from tests.sandbox.recording import PEOPLE, Recorder, Town
from zapwire.sandbox.server.handlers.profile import SET_ABOUT
from zapwire.wire.node import Node, WireJid


@pytest_asyncio.fixture
async def town():
    async with Town() as town:
        yield town


async def usync(caller: Recorder, protocols: list[Node], *users: Node) -> list[Node]:
    parts = [Node("query", {}, protocols), Node("list", {}, list(users))]
    attrs = {"sid": "7", "mode": "query", "context": "interactive", "index": "0", "last": "true"}
    answer = await caller.ask("get", "usync", Node("usync", attrs, parts))
    assert answer.child("usync").text("sid") == "7"
    return answer.child("usync", "list").children


def by_number(number: str) -> Node:
    return Node("user", {}, [Node("contact", {}, number.encode())])


@pytest.mark.parametrize("form", ["{}", "+{}", "{}@c.us"])
async def test_who_is_on_whatsapp(town: Town, form: str) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    asked = [by_number(form.format(PEOPLE["bob"])), by_number(form.format("999999999"))]
    known, unknown = await usync(alice, [Node("contact", {"addressing_mode": "lid"}), Node("username")], *asked)
    assert (known.jid("jid"), known.text("pn_jid")) == (bob.jid, f"{PEOPLE['bob']}@s.whatsapp.net")
    assert known.child("contact").text("type") == "in"
    assert known.child("contact").data.decode() == form.format(PEOPLE["bob"])
    assert (unknown.text("jid"), unknown.child("contact").text("type")) == ("999999999@s.whatsapp.net", "out")
    (by_phone,) = await usync(alice, [Node("contact")], asked[0])
    assert by_phone.jid("jid") == bob.account.phone_jid


@pytest.mark.parametrize(
    ("account", "typed"),
    [
        ("558491234567", "5584991234567"),
        ("5511998765432", "551198765432"),
        ("5215512345678", "525512345678"),
        ("525512345678", "5215512345678"),
        ("5491112345678", "541112345678"),
    ],
)
async def test_a_number_is_found_in_either_form_that_its_country_has(town: Town, account: str, typed: str) -> None:
    found = town.world.create_account(account, "Two forms")
    alice = town.phones["alice"]
    (by_contact,) = await usync(alice, [Node("contact", {"addressing_mode": "lid"})], by_number(f"+{typed}"))
    assert (by_contact.jid("jid"), by_contact.text("pn_jid")) == (found.lid_jid, f"{account}@s.whatsapp.net")
    (by_address,) = await usync(alice, [Node("lid")], Node("user", {"jid": WireJid(typed)}))
    assert by_address.child("lid") is None  # an address is no number that somebody typed


async def test_devices_lid_status_and_picture_in_one_question(town: Town) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    town.companion("bob")
    await bob.ask("set", "status", Node("status", {}, "gone fishing 🎣".encode()))
    picture = await bob.ask("set", "w:profile:picture", Node("picture", {"type": "image"}, b"\xff\xd8x"))
    protocols = [Node(tag) for tag in ("business", "status", "picture", "devices", "lid")]
    (user,) = await usync(alice, protocols, Node("user", {"jid": bob.account.phone_jid}))
    assert user.jid("jid") == bob.account.phone_jid
    assert user.child("lid").jid("val") == bob.jid
    assert user.child("status").data.decode() == "gone fishing 🎣"
    assert user.child("picture").text("id") == picture.child("picture").text("id")
    devices = user.child("devices", "device-list").children
    assert [(d.text("id"), d.text("key-index")) for d in devices] == [("0", ""), ("1", "1")]
    (by_lid,) = await usync(alice, protocols, Node("user", {"jid": bob.jid}))
    assert by_lid.child("lid") is None  # who asks by LID has it
    assert by_lid.child("devices", "device-list").children
    (nobody,) = await usync(alice, protocols, Node("user", {"jid": WireJid("999999999")}))
    assert nobody.child("lid") is None
    assert nobody.child("devices", "device-list").children == []


async def test_about_by_graphql(town: Town) -> None:
    alice = town.phones["alice"]
    body = json.dumps({"variables": {"input": {"text": "busy"}}}).encode()
    answer = await alice.ask("get", "w:mex", Node("query", {"query_id": SET_ABOUT}, body))
    assert "data" in json.loads(answer.child("result").data)
    assert alice.account.about == "busy"
    for number, content, code in ((SET_ABOUT, b"{", "400"), ("1", b"{}", "501")):
        answer = await alice.ask("get", "w:mex", Node("query", {"query_id": number}, content))
        assert answer.child("error").text("code") == code


async def test_privacy(town: Town) -> None:
    alice, alice2, bob = town.phones["alice"], town.companion("alice"), town.phones["bob"]
    change = Node("privacy", {}, [Node("category", {"name": "profile", "value": "none"})])
    await alice.ask("set", "privacy", change)
    values = (await alice2.ask("get", "privacy", Node("privacy"))).child("privacy").children
    assert {v.text("name"): v.text("value") for v in values}["profile"] == "none"
    assert alice2.all("notification", "account_sync")[-1].children == [change]
    await alice.ask("set", "w:profile:picture", Node("picture", {"type": "image"}, b"\xff\xd8x"))
    for who, found in ((alice2, True), (bob, False)):
        answer = await who.ask("get", "w:profile:picture", Node("picture"), target=alice.jid)
        assert (answer.child("picture") is not None) == found
    wrong = Node("privacy", {}, [Node("category", {"name": "nonsense", "value": "none"})])
    assert (await alice.ask("set", "privacy", wrong)).child("error").text("code") == "400"


async def test_tokens_reach_those_they_are_for(town: Town) -> None:
    alice, bob, bob2 = town.phones["alice"], town.phones["bob"], town.companion("bob")
    token = Node("token", {"jid": bob.jid, "t": "5", "type": "trusted_contact"})
    assert (await alice.ask("set", "privacy", Node("tokens", {}, [token]))).text("type") == "result"
    for device in (bob, bob2):
        (told,) = device.all("notification", "privacy_token")
        assert (told.jid("from"), told.jid("sender_lid")) == (alice.account.phone_jid, alice.jid)
        assert told.child("tokens", "token").data


async def test_pictures(town: Town) -> None:
    alice, bob = town.phones["alice"], town.phones["bob"]
    missing = await bob.ask("get", "w:profile:picture", Node("picture"), target=alice.jid)
    assert missing.child("error").text("code") == "404"
    data = b"\xff\xd8picture"
    number = (await alice.ask("set", "w:profile:picture", Node("picture", {"type": "image"}, data))).child("picture")
    got = (await bob.ask("get", "w:profile:picture", Node("picture"), target=alice.account.phone_jid)).child("picture")
    assert got.text("id") == number.text("id")
    assert got.text("url").endswith(got.text("direct_path"))
    same = await bob.ask("get", "w:profile:picture", Node("picture", {"id": got.text("id")}), target=alice.jid)
    assert same.child("picture").text("status") == "304"
    foreign = await bob.ask("set", "w:profile:picture", Node("picture", {}, data), target=alice.jid)
    assert foreign.child("error").text("code") == "403"
    await alice.ask("set", "w:profile:picture")
    assert alice.account.picture is None


async def test_a_login_asks_these_and_is_answered(town: Town) -> None:
    alice = town.phones["alice"]
    asked = {
        "w:p get": [],
        "w get": [Node("props")],
        "abt get": [Node("props", {"protocol": "1"})],
        "urn:xmpp:whatsapp:push get": [Node("settings")],
        "urn:xmpp:whatsapp:push set": [Node("config")],
        "urn:xmpp:whatsapp:dirty set": [Node("clean", {"type": "account_sync"})],
        "blocklist get": [],
        "status get": [Node("privacy")],
        "disappearing_mode set": [Node("disappearing_mode", {"duration": "0"})],
        "encrypt get": [Node("count")],
        "passive set": [Node("active")],
    }
    for query, content in asked.items():
        namespace, _, kind = query.partition(" ")
        assert (await alice.ask(kind, namespace, *content)).text("type") == "result", query
    assert not town.world.statistics.unhandled


async def test_the_digest_tells_what_the_server_keeps(town: Town) -> None:
    bob2 = town.companion("bob")
    digest = (await bob2.ask("get", "encrypt", Node("digest"))).child("digest")
    assert [int.from_bytes(n.data, "big") for n in digest.child("list").children] == [1, 2, 3]
    assert len(digest.child("hash").data) == hashlib.sha1(usedforsecurity=False).digest_size
    no_keys = await town.phones["alice"].ask("get", "encrypt", Node("digest"))
    assert no_keys.child("error").text("code") == "404"
