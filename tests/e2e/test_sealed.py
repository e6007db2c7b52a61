"""The daemon's auth state on the disk: sealed, refused when damaged, destroyed on request, and plain only by order."""

from __future__ import annotations

from pathlib import Path

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, arrived, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

WORDS = (b"planted text", b"planted answer", b"Annabell Planted")
BESIDE = "the master key lies beside the data and protects only copies without it (docs/security.md)"
SQLITE = (b"SQLite format", b"CREATE TABLE", b"whatsmeow", BOT_NUMBER.encode(), CONTACT_NUMBER.encode())


def found(sessions: Path) -> list[tuple[str, bytes]]:
    files = [path for path in sessions.rglob("*") if path.is_file()]
    assert len(files) > 3
    return [
        (path.name, word)
        for path in files
        for word in (*WORDS, *(SQLITE if path.parent.name == "bots" else ()))
        if word in path.read_bytes()
    ]


async def test_a_chat_leaves_nothing_readable_and_a_deleted_bot_leaves_nothing(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    await linked_bot(daemon, sandbox)
    await daemon.add_bot("pairing")
    await daemon.qr("pairing")
    children = Path(f"/proc/{daemon.program.pid}/task/{daemon.program.pid}/children").read_text().split()
    assert children
    assert not any(b"ZAPWIRE_" in Path(f"/proc/{child}/environ").read_bytes() for child in children)
    await daemon.call("DELETE", "/v1/bots/pairing")
    contact = await sandbox.phone(CONTACT_NUMBER, "Annabell Planted")
    async with daemon.events("message.received") as events:
        for number in range(3):
            await daemon.send("shop", CONTACT_NUMBER, f"planted text {number}", wait=20)
            await contact.send(BOT_NUMBER, f"planted answer {number}")
            await events.next()
    await arrived(contact, "planted text 2")
    sessions = daemon.folder / "sessions"
    assert found(sessions) == []
    assert (await daemon.call("GET", "/readyz"))["warnings"] == [BESIDE]
    salt = (sessions / "bots" / "shop.db").read_bytes()[4:16]
    await daemon.call("DELETE", "/v1/bots/shop")
    assert not list((sessions / "bots").iterdir())
    await daemon.stop()
    assert not any(salt in path.read_bytes() for path in sessions.rglob("*") if path.is_file())
    await daemon.start()


async def test_one_damaged_file_blocks_one_bot_which_can_be_logged_out_and_paired_again(
    daemon: Daemon, sandbox: Sandbox
) -> None:
    phone = await linked_bot(daemon, sandbox)
    await linked_bot(daemon, sandbox, "other", "4915100000199")
    await daemon.stop()
    file = daemon.folder / "sessions" / "bots" / "shop.db"
    file.write_bytes(damaged := b"SLD1" + bytes(len(file.read_bytes()) - 4))
    await daemon.start()
    bot = await daemon.until_state("shop", "blocked")
    assert bot["reason"].startswith("auth state damaged or wrong key: ")
    assert "restore bots/shop.db or the master key" in bot["action"]
    await daemon.until_state("other", "connected")
    status, problem = await daemon.ask("GET", "/v1/bots/shop/qr")
    assert (status, problem["detail"].partition(":")[0]) == (409, "the bot is blocked")
    await daemon.call("POST", "/v1/bots/shop/connect")
    await daemon.until_state("shop", "blocked")
    assert file.read_bytes() == damaged
    await daemon.call("POST", "/v1/bots/shop/logout")
    await daemon.until_state("shop", "logged_out")
    assert not file.exists()
    await daemon.call("POST", "/v1/bots/shop/connect")
    await phone.scan(await daemon.qr("shop"))
    await daemon.until_state("shop", "connected")


async def test_plain_is_told_everywhere_and_what_was_plain_is_sealed_by_the_next_daemon(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with Daemon(tmp_path, sandbox.descriptor_file, ZAPWIRE_AUTH_STATE="plain") as plain:
        await linked_bot(plain, sandbox)
        assert (await plain.call("GET", "/readyz"))["warnings"][0] == "auth state is stored in the clear"
        assert "auth state is stored in the clear" in plain.log
    assert (tmp_path / "sessions" / "bots" / "shop.db").read_bytes().startswith(b"SQLite format 3")
    async with Daemon(tmp_path, sandbox.descriptor_file) as sealed:
        await sealed.until_state("shop", "connected")
        assert "shop.db lay there in the clear: it is sealed now" in sealed.log
        assert found(tmp_path / "sessions") == []
