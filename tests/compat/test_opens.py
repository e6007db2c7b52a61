"""Installations that an older zapwire left are opened, and go on where they were; `make.py` says what is in them."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.compat.conftest import KEPT, Installation, unpack
from tests.harness.chat import arrived
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Phone, Sandbox

DESK, CONTACT = "4915100000002", "4915100000005"
PASSPHRASE = "test only passphrase"
STATES = {"shop": "connected", "desk": "stopped", "left": "logged_out", "never-linked": "stopped"}


def contact_of(made: Installation) -> Phone:
    return Phone(made.sandbox, CONTACT)


async def receives(daemon: Daemon, contact: Phone, bot: str, number: str, text: str) -> dict[str, Any]:
    async with daemon.events("message.received") as events:
        await contact.send(number, text)
        return await events.until(lambda e: e["bot"] == bot and e["data"].get("text") == text)


async def works(made: Installation, bot: str) -> None:
    """The bot connects with the sessions it had: both ends decrypt what the other one sends."""
    contact, daemon = contact_of(made), made.daemon
    account = await daemon.until_state(bot, "connected")
    await daemon.send(bot, CONTACT, f"{bot} again")
    await arrived(contact, f"{bot} again")
    event = await receives(daemon, contact, bot, account["phone"].lstrip("+"), f"{bot} answered")
    assert event["data"]["sender"]["phone"] == f"+{CONTACT}"


async def same_messages(made: Installation) -> None:
    for bot, messages in made.notes["messages"].items():
        for before in messages:
            now = await made.daemon.call("GET", f"/v1/bots/{bot}/messages/{before['id']}")
            same = ("id", "to", "type", "text", "created_at", "whatsapp_id")
            assert {name: now[name] for name in same} == {name: before[name] for name in same}
            assert before["state"] == "queued" or now["state"] == before["state"] == "read"


async def same_events(made: Installation) -> None:
    page = await made.daemon.call("GET", "/v1/events", after=0, limit=1000)
    events = made.notes["events"]
    assert [event["id"] for event in page["events"]][: len(events)] == events


def zapwire(made: Installation, *args: str) -> str:
    env = {**os.environ, **made.env}
    done = subprocess.run(
        [sys.executable, "-m", "zapwire", *args], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


async def test_bots_with_their_states_histories_messages_and_events(sealed: Installation) -> None:
    daemon = sealed.daemon
    await daemon.until_state("shop", "connected")
    bots = {bot["id"]: bot for bot in (await daemon.call("GET", "/v1/bots"))["bots"]}
    assert {name: bot["state"] for name, bot in bots.items()} == STATES
    for before in sealed.notes["bots"]:
        same = ("name", "autostart", "phone", "lid", "created_at", "code")
        assert {name: bots[before["id"]][name] for name in same} == {name: before[name] for name in same}
    for bot, before in sealed.notes["history"].items():
        now = (await daemon.call("GET", f"/v1/bots/{bot}/history"))["history"]
        assert [(e["id"], e["state"], e["since"]) for e in now][-len(before) :] == [
            (e["n"], e["state"], e["since"]) for e in before
        ]
    await same_messages(sealed)
    await same_events(sealed)


async def test_bots_reconnect_send_and_receive(sealed: Installation) -> None:
    await works(sealed, "shop")
    async with sealed.daemon.events("message.received") as events:
        await sealed.daemon.call("POST", "/v1/bots/desk/connect")
        await events.until(lambda e: e["bot"] == "desk" and e["data"].get("text") == "sent while stopped")
    await works(sealed, "desk")


async def test_a_person_keeps_the_id_it_had(sealed: Installation) -> None:
    (before,) = sealed.notes["messages"]["shop"]
    assert before["to"]["lid"]
    await sealed.daemon.until_state("shop", "connected")
    event = await receives(sealed.daemon, contact_of(sealed), "shop", "4915100000001", "who am I?")
    sender = event["data"]["sender"]
    same = ("id", "phone", "lid")
    assert [sender[name] for name in same] == [before["to"][name] for name in same]


async def test_what_waits_for_a_webhook_is_delivered(sealed: Installation) -> None:
    noted, call = sealed.notes["webhook"], sealed.daemon.call
    hook = f"/v1/webhooks/{noted['id']}"
    for state, wanted in (("delivered", "delivered"), ("dead", "dead"), ("failed", "waiting")):
        page = await call("GET", f"{hook}/deliveries", state=state)
        assert [delivery["event"] for delivery in page["deliveries"]] == noted[wanted]
    async with Receiver() as receiver:
        await call("PATCH", hook, {"url": receiver.url})
        await call("POST", f"{hook}/resume")
        event = (await receiver.next()).verified(noted["secret"])
        assert ([event["id"]], event["data"]["text"]) == (noted["waiting"], "to wait")
        await call("POST", f"{hook}/replay", {"dead": True})
        event = (await receiver.next()).verified(noted["secret"])
        assert ([event["id"]], event["data"]["text"]) == (noted["dead"], "to be dead")


async def test_a_token_works(sealed: Installation) -> None:
    async with aiohttp.ClientSession(sealed.daemon.url) as http:
        for token, status in ((sealed.notes["token"], 200), (sealed.notes["token"][:-1], 401)):
            async with http.get("/v1/bots", headers={"Authorization": f"Bearer {token}"}) as answer:
                assert answer.status == status


async def test_nothing_is_damaged_before_or_after(sealed: Installation) -> None:
    await sealed.daemon.until_state("shop", "connected")
    await sealed.daemon.stop()
    assert "all of it opens" in zapwire(sealed, "key", "verify")


async def test_a_bot_is_exported(sealed: Installation) -> None:
    (passphrase := sealed.folder / "passphrase").write_text(PASSPHRASE)
    passphrase.chmod(0o600)
    out = sealed.folder / "desk.zapwire"
    zapwire(sealed, "bot", "export", "desk", "--move", "--passphrase-file", str(passphrase), "--out", str(out))
    other = sealed.folder / "other"
    other.mkdir()
    async with Daemon(other, sealed.sandbox.descriptor_file) as daemon:
        await imported(daemon, out)
        await receives(daemon, contact_of(sealed), "desk", DESK, "after the move")


async def imported(daemon: Daemon, file: Path) -> None:
    bundle = base64.b64encode(file.read_bytes()).decode()
    bot = await daemon.call("POST", "/v1/bots/import", {"bundle": bundle, "passphrase": PASSPHRASE})
    await daemon.until_state(bot["id"], "connected")


async def test_a_plain_installation(plain: Installation) -> None:
    await same_messages(plain)
    await same_events(plain)
    await works(plain, "shop")
    moved = await plain.daemon.call("GET", "/v1/bots/moved")
    assert (moved["state"], moved["code"]) == ("stopped", "moved")
    await plain.daemon.stop()
    assert (plain.folder / "sessions" / "bots" / "shop.db").read_bytes().startswith(b"SQLite format 3\0")


async def test_a_plain_installation_is_sealed_when_that_is_set(tmp_path: Path) -> None:
    folder = unpack("plain", tmp_path)
    async with Sandbox(folder / "sandbox") as sandbox:
        daemon = Daemon(folder, sandbox.descriptor_file, **KEPT)
        async with daemon:
            await works(Installation(folder, {}, daemon, sandbox, {}), "shop")
    assert b"SQLite format 3" not in (folder / "sessions" / "bots" / "shop.db").read_bytes()


async def test_a_bundle_is_imported(tmp_path: Path) -> None:
    folder = unpack("plain", tmp_path)
    (other := folder / "other").mkdir()
    async with Sandbox(folder / "sandbox") as sandbox, Daemon(other, sandbox.descriptor_file) as daemon:
        await imported(daemon, folder / "moved.zapwire")
        await works(Installation(other, {}, daemon, sandbox, {}), "moved")
