"""What lies on the disk: nothing readable of bots that chat, and a bot that travels as one file."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

PASSPHRASE = "correct horse battery"
NAME, SENT, RECEIVED = "Aloysius Pepperwood", "the planted answer", "the planted question"
HEADER = "https://planted.example"
OWN_WORDS = ("SQLite format", "CREATE TABLE")
NEVER = (NAME, SENT, RECEIVED, HEADER, "planted-shop", BOT_NUMBER, CONTACT_NUMBER, "whsec_", *OWN_WORDS)


def found_in(folder: Path) -> list[tuple[str, str]]:
    """Which of the planted texts can be read in which file; SQLite's own words are no secret of the database."""
    hits = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = file.read_bytes()
        for text in NEVER:
            own = file.name.startswith("zapwire.db") and text in OWN_WORDS
            if text.encode() in content and not own:
                hits.append((file.name, text))
    return hits


async def run(*arguments: str, folder: Path, **env: str) -> tuple[int, bytes, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZAPWIRE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "zapwire", *arguments, "--sessions-dir", str(folder / "sessions"),
        env={**kept, "ZAPWIRE_PASSPHRASE": PASSPHRASE, **env}, stdout=-1, stderr=-1, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out, err.decode()


async def test_nothing_readable_lies_on_the_disk_while_and_after_bots_chat(daemon: Daemon, sandbox: Sandbox):
    sessions = daemon.folder / "sessions"
    contact = await sandbox.phone(CONTACT_NUMBER, NAME)
    await linked_bot(daemon, sandbox)
    await daemon.call("PATCH", "/v1/bots/shop", {"name": "planted-shop"})
    await daemon.call("POST", "/v1/webhooks", {"url": f"{HEADER}/hook"})
    async with daemon.events("message.received") as events:
        await contact.send(BOT_NUMBER, RECEIVED)
        received = await events.until(lambda e: e["type"] == "message.received")
        assert (received["data"]["text"], received["data"]["push_name"]) == (RECEIVED, NAME)
    await daemon.send("shop", f"+{CONTACT_NUMBER}", SENT, wait=10)
    await arrived(contact, SENT)
    assert found_in(sessions) == []
    await daemon.kill()
    assert found_in(sessions) == []
    assert {path.name for path in sessions.iterdir()} >= {"zapwire.db", "bots", "master.key"}
    await daemon.start()
    await daemon.until_state("shop", "connected")
    page = await daemon.call("GET", "/v1/events", types="message.received")
    assert page["events"][0]["data"]["text"] == RECEIVED


async def test_a_bot_moves_to_another_daemon_and_chats_on(daemon: Daemon, sandbox: Sandbox, tmp_path: Path):
    contact = await sandbox.phone(CONTACT_NUMBER, NAME)
    await linked_bot(daemon, sandbox)
    await daemon.send("shop", f"+{CONTACT_NUMBER}", "from the old place", wait=10)
    await arrived(contact, "from the old place")
    out = tmp_path / "backup.zapwire"
    code, said, err = await run("bot", "export", "shop", "--out", str(out), folder=daemon.folder)
    assert (code, err) == (0, "")
    assert said.decode() == f"exported shop to {out}, {out.stat().st_size} bytes\n"
    code, content, err = await run("bot", "export", "shop", "--move", folder=daemon.folder)
    assert (code, err) == (0, "")
    assert content.startswith(b"zapwire bundle 1\n")
    assert (await daemon.call("GET", "/v1/bots/shop"))["code"] == "moved"
    status, problem = await daemon.ask("POST", "/v1/bots/shop/connect")
    assert (status, problem["code"]) == (409, "conflict")

    bundle, elsewhere = tmp_path / "shop.zapwire", tmp_path / "elsewhere"
    bundle.write_bytes(content)
    elsewhere.mkdir()
    async with Daemon(elsewhere, sandbox.descriptor_file) as there:
        command = ("bot", "import", str(bundle))
        code, _, err = await run(*command, folder=elsewhere, ZAPWIRE_PASSPHRASE="the wrong passphrase")
        assert (code, "passphrase is wrong" in err) == (1, True)
        code, said, err = await run(*command, "--id", "kiosk", folder=elsewhere)
        assert (code, said, err) == (0, b"imported kiosk, connecting\n", "")
        bot = await there.until_state("kiosk", "connected")
        assert bot["phone"] == f"+{BOT_NUMBER}"
        async with there.events("message.received") as events:
            await contact.send(BOT_NUMBER, "are you still there?")
            await events.until(lambda e: e["data"]["text"] == "are you still there?")
        await there.send("kiosk", f"+{CONTACT_NUMBER}", "from the new place", wait=10)
        await arrived(contact, "from the new place")
        code, _, err = await run(*command, folder=elsewhere)
        assert (code, "linked to the bot kiosk here" in err) == (1, True)
        tokens = (await run("token", "list", folder=elsewhere))[1]
        assert b"zapwire bot" not in tokens


async def test_a_bundle_that_cannot_be_written_moves_nothing(daemon: Daemon, sandbox: Sandbox, tmp_path: Path):
    await linked_bot(daemon, sandbox)
    for out, words in ((tmp_path / "no" / "x", "cannot be written: No such file"), (daemon.folder, "is a directory")):
        code, _, err = await run("bot", "export", "shop", "--move", "--out", str(out), folder=daemon.folder)
        assert (code, words in err, "Traceback" in err) == (2, True, False)
    assert (await daemon.call("GET", "/v1/bots/shop"))["code"] is None
    code, _, err = await run("bot", "export", "../shop", "--out", str(tmp_path / "x"), folder=daemon.folder)
    assert (code, "no such bot" in err, (tmp_path / "x").exists()) == (1, True, False)
    (tmp_path / "words").write_bytes(b"\xff\xfe")
    (tmp_path / "long").touch()
    os.truncate(tmp_path / "long", 1 << 40)
    for arguments, words in (
        (("export", "shop", "--passphrase-file", str(tmp_path / "words")), "is no text in UTF-8"),
        (("import", str(tmp_path / "long")), "is no bundle"),
    ):
        code, _, err = await run("bot", *arguments, folder=daemon.folder)
        assert (code, words in err) == (2, True)


async def test_a_bundle_opens_where_auth_state_is_plain(daemon: Daemon, sandbox: Sandbox, tmp_path: Path):
    contact = await sandbox.phone(CONTACT_NUMBER)
    await linked_bot(daemon, sandbox)
    _, content, _ = await run("bot", "export", "shop", "--move", folder=daemon.folder)
    bundle, elsewhere = tmp_path / "shop.zapwire", tmp_path / "elsewhere"
    bundle.write_bytes(content)
    elsewhere.mkdir()
    async with Daemon(elsewhere, sandbox.descriptor_file, ZAPWIRE_AUTH_STATE="plain") as there:
        assert (await run("bot", "import", str(bundle), folder=elsewhere))[0] == 0
        await there.until_state("shop", "connected")
        await there.send("shop", f"+{CONTACT_NUMBER}", "in the clear", wait=10)
        await arrived(contact, "in the clear")
        code, back, _ = await run("bot", "export", "shop", "--move", folder=elsewhere)
        assert code == 0
    bundle.write_bytes(back)
    assert (await run("bot", "import", str(bundle), folder=daemon.folder))[0] == 0
    await daemon.until_state("shop", "connected")


async def test_bots_chat_on_under_another_key_and_nothing_starts_with_a_wrong_one(daemon: Daemon, sandbox: Sandbox):
    contact = await sandbox.phone(CONTACT_NUMBER)
    await linked_bot(daemon, sandbox)
    await daemon.send("shop", f"+{CONTACT_NUMBER}", "under the old key", wait=10)
    await arrived(contact, "under the old key")
    code, _, err = await run("key", "rotate", folder=daemon.folder)
    assert (code, "zapwire daemon (process" in err) == (1, True)
    await daemon.kill()
    key = daemon.folder / "sessions" / "master.key"
    old = key.read_text()
    code, out, _ = await run("key", "rotate", folder=daemon.folder)
    assert (code, b"1 auth files" in out) == (0, True)
    assert (await run("key", "verify", folder=daemon.folder))[0] == 0
    new = key.read_text()
    key.write_text(old)
    code, _, err = await run("serve", folder=daemon.folder, ZAPWIRE_LISTEN="127.0.0.1:0")
    assert (code, "is sealed with the master key" in err, "Traceback" in err) == (2, True, False)
    key.write_text(new)
    await daemon.start()
    await daemon.until_state("shop", "connected")
    await contact.send(BOT_NUMBER, "is it you?")
    await daemon.send("shop", f"+{CONTACT_NUMBER}", "under the new key", wait=10)
    await arrived(contact, "under the new key")


async def test_doctor_beside_a_running_daemon(daemon: Daemon, sandbox: Sandbox):
    await linked_bot(daemon, sandbox)
    code, out, err = await run("doctor", folder=daemon.folder, ZAPWIRE_WHATSAPP_SERVER=str(sandbox.descriptor_file))
    text = out.decode()
    assert (code, err) == (0, ""), text
    for words in (
        "ok       running: zapwire daemon (process ",
        "warning  the master key lies beside the data",
        "ok       the engine's SQLite seals what it writes",
        "ok       auth files: 1 sealed with ",
        "warning  another server stands in for WhatsApp",
    ):
        assert words in text
    (daemon.folder / "sessions" / "master.key").rename(daemon.folder / "sessions" / "lost.key")
    code, out, err = await run("doctor", folder=daemon.folder, ZAPWIRE_WHATSAPP_SERVER=str(sandbox.descriptor_file))
    assert code == 1
    assert "fault    the master key" in out.decode()
