"""Makes the files in `data/` with an older zapwire: installations as that version leaves them after a clean stop.

Runs with the harness and the `.venv` of a checkout of that version; `data/` was made with commit 1e38c36 (schema 17):

    PYTHONPATH=OLDER OLDER/.venv/bin/python tests/compat/make.py tests/compat/data

Each archive has the sessions folder, the folder of the sandbox that its bots are linked to, and `notes.json`: what was
there. Every key, token and passphrase is for tests only, and opens nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from tests.harness.chat import arrived
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Phone, Sandbox

SHOP, DESK, LEFT, MOVED, CONTACT = (f"491510000000{n}" for n in range(1, 6))
KEY = bytes(range(32)).hex()
PASSPHRASE = "test only passphrase"


async def link(daemon: Daemon, sandbox: Sandbox, bot: str, number: str) -> Phone:
    phone = await sandbox.phone(number)
    await daemon.add_bot(bot)
    await phone.scan(await daemon.qr(bot))
    await daemon.until_state(bot, "connected")
    return phone


async def receive(daemon: Daemon, contact: Phone, bot: str, number: str, text: str) -> str:
    async with daemon.events("message.received") as events:
        message = await contact.send(number, text)
        await events.until(lambda e: e["bot"] == bot and e["data"].get("text") == text)
    return message


async def send_read(daemon: Daemon, contact: Phone, bot: str, text: str) -> str:
    async with daemon.events("message.status") as events:
        message = str((await daemon.send(bot, CONTACT, text))["id"])
        await arrived(contact, text)
        await contact.read()
        await events.until(lambda e: e["data"]["id"] == message and e["data"]["state"] == "read")
    return message


async def deliveries(daemon: Daemon, hook: str, state: str) -> list[str]:
    while True:
        page = await daemon.call("GET", f"/v1/webhooks/{hook}/deliveries", state=state)
        if page["deliveries"]:
            return [str(d["event"]) for d in page["deliveries"]]
        await asyncio.sleep(0.1)


async def add_webhook(daemon: Daemon, contact: Phone) -> dict[str, Any]:
    """A paused webhook with deliveries that arrived, that were given up, and that wait for another attempt."""
    async with Receiver() as receiver:
        asked = {"url": receiver.url, "events": ["message.received"], "client_error_attempts": 2}
        hook = await daemon.call("POST", "/v1/webhooks", asked)
        await receive(daemon, contact, "shop", SHOP, "to be delivered")
        delivered = await deliveries(daemon, hook["id"], "delivered")
        receiver.status = 400
        await receive(daemon, contact, "shop", SHOP, "to be dead")
        dead = await deliveries(daemon, hook["id"], "dead")
        receiver.status = 503
        await receive(daemon, contact, "shop", SHOP, "to wait")
        waiting = await deliveries(daemon, hook["id"], "failed")
    await daemon.call("POST", f"/v1/webhooks/{hook['id']}/pause")
    return {"id": hook["id"], "secret": hook["secret"], "delivered": delivered, "dead": dead, "waiting": waiting}


def command(env: dict[str, str], *args: str) -> str:
    command = [sys.executable, "-m", "zapwire", *args]
    return subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


async def noted(daemon: Daemon, messages: dict[str, list[str]]) -> dict[str, Any]:
    """What the API says of the bots, and of these messages of each."""
    return {
        "admin_token": daemon.token,
        "bots": (await daemon.call("GET", "/v1/bots"))["bots"],
        "history": {bot: (await daemon.call("GET", f"/v1/bots/{bot}/history"))["history"] for bot in messages},
        "messages": {
            bot: [await daemon.call("GET", f"/v1/bots/{bot}/messages/{m}") for m in ids]
            for bot, ids in messages.items()
        },
        "events": [e["id"] for e in (await daemon.call("GET", "/v1/events", after=0, limit=1000))["events"]],
    }


async def sealed(folder: Path) -> None:
    (key := folder / "TEST-ONLY-master.key").write_text(KEY + "\n")
    key.chmod(0o600)
    async with Sandbox(folder / "sandbox") as sandbox:
        contact = await sandbox.phone(CONTACT)
        daemon = Daemon(folder, sandbox.descriptor_file, ZAPWIRE_MASTER_KEY_FILE=str(key))
        async with daemon:
            env = {**os.environ, "ZAPWIRE_SESSIONS_DIR": str(folder / "sessions"), "ZAPWIRE_MASTER_KEY_FILE": str(key)}
            for bot, number in (("shop", SHOP), ("desk", DESK), ("left", LEFT)):
                await link(daemon, sandbox, bot, number)
            await daemon.call("POST", "/v1/bots", {"id": "never-linked", "autostart": False})
            messages = {
                "shop": [await send_read(daemon, contact, "shop", "out of the shop")],
                "desk": [await send_read(daemon, contact, "desk", "out of the desk")],
                "left": [],
            }
            await receive(daemon, contact, "desk", DESK, "into the desk")
            hook = await add_webhook(daemon, contact)
            await daemon.call("POST", "/v1/bots/left/logout")
            await daemon.until_state("left", "logged_out")
            await daemon.call("POST", "/v1/bots/desk/disconnect")
            await daemon.until_state("desk", "stopped")
            messages["desk"].append((await daemon.send("desk", CONTACT, "queued while stopped"))["id"])
            await contact.send(DESK, "sent while stopped")
            notes = await noted(daemon, messages)
            notes |= {"webhook": hook, "token": command(env, "token", "create", "reader")}
    command(env, "key", "verify")  # closes the auth databases, whose logs a stop leaves beside them: a megabyte each
    (folder / "notes.json").write_text(json.dumps(notes, indent=1))


async def plain(folder: Path) -> None:
    (passphrase := folder / "TEST-ONLY-passphrase").write_text(PASSPHRASE + "\n")
    async with Sandbox(folder / "sandbox") as sandbox:
        contact = await sandbox.phone(CONTACT)
        async with Daemon(folder, sandbox.descriptor_file, ZAPWIRE_AUTH_STATE="plain") as daemon:
            await link(daemon, sandbox, "shop", SHOP)
            await link(daemon, sandbox, "moved", MOVED)
            messages = {"shop": [await send_read(daemon, contact, "shop", "out of the shop")]}
            await receive(daemon, contact, "shop", SHOP, "into the shop")
            env = {**os.environ, "ZAPWIRE_SESSIONS_DIR": str(folder / "sessions")}
            bundle = ["--move", "--passphrase-file", str(passphrase), "--out", str(folder / "moved.zapwire")]
            command(env, "bot", "export", "moved", *bundle)
            notes = await noted(daemon, messages)
    (folder / "notes.json").write_text(json.dumps(notes, indent=1))


def pack(folder: Path, out: Path) -> None:
    with tarfile.open(out, "w:xz") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and file.suffix != ".log":
                archive.add(file, str(file.relative_to(folder)))


def main(out: Path) -> None:
    for make in (sealed, plain):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "sandbox").mkdir()
            asyncio.run(make(folder))
            pack(folder, out / f"{make.__name__}.tar.xz")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
