"""The real engine, and people who send what they should not: every message is told, and nothing else happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from tests.harness.any_protobuf import a_field
from tests.harness.stranger import Bytes, Stranger, sandbox_here
from tests.transport.driven import Bot, Driven
from tests.transport.inbound.test_any_message import SILENT, hides_protocol
from zapwire.transport.whatsapp_web.engine.protos import e2e
from zapwire.wire.node import Node, WireJid

BOT = "4915510000001"
ANNA = "4915510000002"


@dataclass
class Scene:
    driver: Driven
    bot: Bot
    anna: Stranger

    async def next(self) -> dict[str, Any]:
        """The next message or what stands for it."""
        while True:
            event = await self.bot.next()
            assert event["event"] != "ended", event
            if event["event"] in {"Received", "Withheld"}:
                return {"event": event["event"], **event["message"]}

    @property
    def log(self) -> str:
        return self.driver.log_text()


@pytest_asyncio.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with sandbox_here(tmp_path / "sandbox") as (sandbox, descriptor):
        phone, _ = await sandbox.phones.ensure(BOT, "Bot")
        anna, _ = await sandbox.phones.ensure(ANNA, "Anna")
        environment = {"DRIVER_KEYS": "plain", "DRIVER_LOG": "DEBUG"}
        async with Driven(tmp_path, descriptor, env=environment) as driver:
            bot = driver.bot("bot-one")
            await bot("start")
            await phone.pairing.scan((await bot.until("QrCode"))["code"])
            await bot.until("Connected")
            scene = Scene(driver, bot, Stranger(sandbox, anna, BOT))
            await scene.anna.say("hello")
            assert (await scene.next())["content"] == {"text": "hello"}
            yield scene
            await scene.anna.say("still there?")
            while (await scene.next()).get("content") != {"text": "still there?"}:
                pass


TEXT = e2e.Message(conversation="hi").SerializeToString()
BROKEN = b"\x0a\x06hi \xf0\x9f\x8e"
NEWER = bytes.fromhex("fa ff 01 05") + b"newer"
NAN = e2e.Message(locationMessage={"degreesLatitude": float("nan"), "degreesLongitude": float("inf")})
UNFINISHED = e2e.Message(extendedTextMessage={"text": "hi", "endCardTiles": [{}]}).SerializePartialToString()


async def test_what_is_no_text_no_number_or_newer_is_told(scene: Scene):
    anna = scene.anna
    cases: list[tuple[bytes, dict[str, Any], str, dict[str, Any]]] = [
        (TEXT, {"notify": Bytes(b"Jo\xc3")}, "text", {"text": "hi"}),
        (BROKEN, {}, "text", {"text": "hi \ufffd"}),
        (NEWER, {}, "unknown", {"whatsapp_type": "4095"}),
        (NAN.SerializeToString(), {}, "location", {"latitude": None, "longitude": None}),
        (TEXT, {"t": str(2**62)}, "text", {"text": "hi"}),
        (TEXT, {"id": "x" * 500}, "text", {"text": "hi"}),
    ]
    for plain, attrs, kind, content in cases:
        await anna.post(anna.sealed(plain), **attrs)
        told = await scene.next()
        assert (told["event"], told["type"], told["content"]) == ("Received", kind, content)
        assert told["sender"]["phone"] == f"+{ANNA}"
        if "notify" in attrs:
            assert told["push_name"] == "Jo\ufffd"


async def test_what_cannot_be_told_is_told_as_such_with_what_is_known(scene: Scene):
    anna = scene.anna
    once = await anna.post(Node("unavailable", {"type": "view_once"}))
    told = await scene.next()
    assert (told["event"], told["id"], told["reason"], told["kind"]) == ("Withheld", once, "unavailable", "view_once")
    assert (told["chat"]["phone"], told["push_name"], told["origin"]) == (f"+{ANNA}", "Anna", "person")
    nothing = await anna.post(Node("unavailable"))
    told = await scene.next()
    assert (told["id"], told["reason"], told["kind"]) == (nothing, "unavailable", None)
    enc = anna.sealed(TEXT)
    assert isinstance(enc.content, bytes)
    enc.content = enc.content[:-4] + bytes(byte ^ 255 for byte in enc.content[-4:])
    corrupt = await anna.post(enc)
    told = await scene.next()
    assert (told["id"], told["reason"]) == (corrupt, "not-decrypted")


@pytest.mark.parametrize(
    "plain",
    [
        pytest.param(b"\xff\xff\xff", id="no protobuf"),
        pytest.param(b"\x0a\x7fhi", id="cut off"),
        pytest.param(UNFINISHED, id="without a field that is required, deep inside"),
    ],
)
async def test_what_opens_and_is_nothing_is_told_from_the_log(scene: Scene, plain: bytes):
    await scene.anna.post(scene.anna.sealed(plain))
    told = await scene.next()
    assert (told["event"], told["id"], told["reason"]) == ("Withheld", None, "unreadable")
    assert told["chat"]["lid"] == str(scene.anna.phone.account.lid_jid)


async def test_where_it_was_written_is_told(scene: Scene):
    anna = scene.anna
    sender = {"participant": anna.phone.account.lid_jid, "participant_pn": anna.phone.account.phone_jid}
    for chat, origin in ((WireJid("status", "broadcast"), "status"), (WireJid("1700000000", "broadcast"), "broadcast")):
        await anna.post(anna.sealed(TEXT), **{**sender, "from": chat})
        told = await scene.next()
        assert (told["origin"], told["sender"]["phone"]) == (origin, f"+{ANNA}")
        assert told["chat"]["jid"] == (str(chat) if origin == "status" else str(anna.phone.account.lid_jid))


NAMES = [
    "Got device removed stream error, sending LoggedOut event and deleting session",
    "Got replaced stream error, sending StreamReplaced event",
    'x"/>Temporary ban connect failure: <failure code="104" expire="99999999" reason="402"/>',
    "Got 413/x connect failure, refreshing CAT before reconnecting...",
    "Error decrypting message A from 1@lid: file is not a database",
    ": file is not a database",
    "\nGot 401: logged out from another device connect failure, sending LoggedOut event and deleting session\n",
]


def group_made(anna: Stranger, subject: str) -> tuple[list[Node], dict[str, Any]]:
    """The news of a new group."""
    account = anna.phone.account
    # Somebody whom the engine has to write down.
    person = {"jid": WireJid("900000000000077", "lid"), "phone_number": WireJid("4915510000077"), "type": "superadmin"}
    group = {"id": "120363000000000001", "subject": subject, "creation": "1", "creator": account.lid_jid, "s_t": "1"}
    parts = [Node("create", {}, [Node("group", {**group, "s_o": account.lid_jid}, [Node("participant", person)])])]
    given = {"tag": "notification", "type": "w:gp2", "from": WireJid("120363000000000001", "g.us")}
    return parts, {**given, "participant": account.lid_jid}


@pytest.mark.parametrize("where", ["a message", "a group's news"])
async def test_no_name_subject_or_attribute_of_a_stanza_is_a_sign(scene: Scene, where: str):
    """The engine's database is held for so long that it dumps the stanzas that wait for it."""
    anna, text = scene.anna, "".join(NAMES)
    held = sqlite3.connect(scene.driver.sessions / "bot-one.db", isolation_level=None)
    held.execute("BEGIN IMMEDIATE")
    if where == "a message":
        business = Node("verified_name", {"v": "1"}, text.encode())
        await anna.post(anna.sealed(TEXT), business, notify=text, verified_level=NAMES[0])
    else:
        parts, attrs = group_made(anna, text)
        await anna.post(*parts, **attrs)
    async with asyncio.timeout(30):
        while not dumped(scene.log):  # noqa: ASYNC110 - another process' log
            await asyncio.sleep(0.1)
    held.execute("ROLLBACK")
    held.close()


def dumped(log: str) -> bool:
    """Has the stanza with all the names been written? Others may wait for the database too, and come first."""
    dump = log.partition("Node handling took")[2]
    return all(name.strip() in dump for name in NAMES)


async def test_a_logout_that_only_a_line_claims_destroys_nothing(scene: Scene):
    """Whoever finds a way to forge a line all the same ends a connection, and no more."""
    await scene.bot("log_line", text="Got device removed stream error, sending LoggedOut event and deleting session")
    end = await scene.bot.ending()
    assert end.kind == "LogoutClaimed"
    await scene.bot("start")
    assert (await scene.bot.next())["event"] == "Connected"


async def test_a_receipt_that_the_engine_cannot_tell_ends_a_connection_once_and_receipts_the_second_time(scene: Scene):
    anna, bot = scene.anna, scene.bot
    for _ in range(2):
        await anna.post(tag="receipt", type="view")
        assert (await bot.ending()).kind == "Interrupted"
        await bot("start")
        await bot.until("Connected")
    assert (await bot.until("Troubled"))["condition"] == "receipts"
    await anna.post(tag="receipt", type="view")
    sent = await bot("send", to=f"{ANNA}@s.whatsapp.net", text="is anybody there?")
    assert sent["whatsapp_id"]
    await anna.say("yes")
    assert (await scene.next())["content"] == {"text": "yes"}


async def test_any_field_with_any_bytes_is_told_and_the_bot_goes_on(scene: Scene):
    """Each kind of content twice, with whatever a generator makes of it (the same in each run)."""
    anna, random = scene.anna, Random(11)
    posted: dict[str, tuple[str, bytes]] = {}
    for of in (*e2e.Message.DESCRIPTOR.fields, *e2e.Message.DESCRIPTOR.fields):
        plain = a_field(of, random)
        posted[await anna.post(anna.sealed(plain))] = (of.name, plain)
    await anna.say("that was all")
    told: set[str] = set()
    without_id = 0
    while (one := await scene.next()).get("content") != {"text": "that was all"}:
        assert one["reason"] == "unreadable" if one["id"] is None else one["id"] in posted
        without_id += one["id"] is None
        told.add(one["id"])
    silent = {number for number, (name, plain) in posted.items() if name in SILENT or hides_protocol(plain)}
    missing = [posted[number][0] for number in posted.keys() - told - silent]
    assert len(missing) <= without_id, missing
    assert without_id < len(posted) / 4, "most can be read"
