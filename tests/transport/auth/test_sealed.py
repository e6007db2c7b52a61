"""A real engine on sealed auth databases: nothing readable on the disk, damage blocks one bot, nothing comes back."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sqlite3
from collections import Counter
from pathlib import Path

from tests.harness.keys import KEYS
from tests.harness.sandbox import Sandbox
from tests.transport.conftest import paired
from tests.transport.driven import Bot, Driven
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault.keys import KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_pages import FileKeys
from zapwire.vault.vfs import Vfs

BOT = "4915510000001"
ANNA = "4915510000002"
MASTER = MasterKey(b"\x5e" * 32)
TELLTALES = (
    b"SQLite format",
    b"CREATE TABLE",
    b"whatsmeow",
    BOT.encode(),
    ANNA.encode(),
    b"s.whatsapp.net",
    b"Annabell",
)


def found(folder: Path) -> list[tuple[str, bytes]]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert files
    return [(path.name, word) for path in files for word in TELLTALES if word in path.read_bytes()]


def entropy(data: bytes) -> float:
    return -sum(count / len(data) * math.log2(count / len(data)) for count in Counter(data).values())


async def chat(bot: Bot, sandbox: Sandbox) -> None:
    anna = await sandbox.phone(ANNA, "Annabell")
    for number in range(5):
        await bot("send", to=f"{ANNA}@s.whatsapp.net", text=f"planted {number}")
        await anna.send(BOT, f"planted answer {number}")
        await bot.until("Received")


async def killed(driver: Driven) -> None:
    driver.process.kill()
    await driver.process.wait()


async def test_nothing_is_readable_while_and_after_bots_chat_and_the_files_stay_small(
    bot: Bot, driver: Driven, sandbox: Sandbox
):
    other = await paired(driver, sandbox, "bot-two", "4915510000009")
    await chat(bot, sandbox)
    assert found(driver.sessions) == []
    one, two = (driver.sessions / f"bot-{name}.db" for name in ("one", "two"))
    assert one.read_bytes()[4:16] != two.read_bytes()[4:16]
    assert not list(driver.sessions.glob("*-shm"))
    for file in driver.sessions.glob("*.db*"):
        assert file.suffix == ".lock" or file.stat().st_size < 1.5 * (1 << 20)
    await bot("stop")
    await other("stop")
    await killed(driver)
    assert found(driver.sessions) == []
    wal = one.with_name(one.name + "-wal").read_bytes()
    for data in (one.read_bytes(), wal[1 << 16 :]):
        assert entropy(data) > 7.99
    [(jid,)] = SealedDatabase(one, Vfs.of(library_path()), KeyRing(MASTER)).query("SELECT jid FROM whatsmeow_device")
    assert jid.startswith(BOT)


async def test_the_same_bot_logs_out_and_pairs_again_while_the_engine_keeps_the_old_file_open(
    bot: Bot, driver: Driven, sandbox: Sandbox
):
    phone = await sandbox.phone(BOT)
    file, salts = driver.sessions / "bot-one.db", set()
    for _ in range(3):
        salts.add(file.read_bytes()[4:16])
        await chat(bot, sandbox)
        await bot("logout")
        assert (await bot.ending()).kind == "LoggedOut"
        assert not list(driver.sessions.iterdir())
        await bot("start")
        await phone.scan((await bot.until("QrCode"))["code"])
        await bot.until("Connected")
    assert len(salts) == 3
    links = Path(f"/proc/{driver.process.pid}/fd").iterdir()
    deleted = {str(link.readlink()) for link in links if link.is_symlink()}
    assert f"{file} (deleted)" in deleted, "then there is nothing to be tested here"
    await chat(bot, sandbox)
    await bot("stop")
    await bot("start")
    assert (await bot.next())["event"] == "Connected"
    await chat(bot, sandbox)


async def test_a_bot_whose_file_does_not_open_is_blocked_and_the_file_kept_while_others_run(
    bot: Bot, driver: Driven, sandbox: Sandbox
):
    await paired(driver, sandbox, "bot-two", "4915510000009")
    await killed(driver)
    file = driver.sessions / "bot-one.db"
    raw = bytearray(file.read_bytes())
    raw[100] ^= 1  # with the WAL the page could be mended
    file.write_bytes(raw)
    wal = file.with_name("bot-one.db-wal")
    wal.write_bytes(b"")
    async with Driven(driver.sessions.parent, sandbox.descriptor_file) as again:
        for _ in range(2):
            back = again.bot("bot-one")
            await back("start")
            end = await back.ending()
            assert end.kind == "Blocked"
            assert end.detail.startswith("auth state damaged or wrong key: the master key is another one")
            assert "restore" in end.action
            assert "log the bot out" in end.action
        other = again.bot("bot-two")
        await other("start")
        assert (await other.next())["event"] == "Connected"
        assert (file.read_bytes(), wal.read_bytes()) == (raw, b"")


async def test_with_another_master_key_no_bot_starts_and_with_the_right_one_all_is_there(
    bot: Bot, driver: Driven, sandbox: Sandbox
):
    await killed(driver)
    before = {path.name: path.read_bytes() for path in driver.sessions.iterdir()}
    async with Driven(driver.sessions.parent, sandbox.descriptor_file, env={"DRIVER_KEYS": KEYS.text()}) as wrong:
        lost = wrong.bot("bot-one")
        await lost("start")
        assert (await lost.ending()).kind == "Blocked"
    assert {path.name: path.read_bytes() for path in driver.sessions.iterdir()} == before
    ring = KEYS.text() + "5e" * 32  # while the key is being changed both open it
    async with Driven(driver.sessions.parent, sandbox.descriptor_file, env={"DRIVER_KEYS": ring}) as right:
        back = right.bot("bot-one")
        await back("start")
        assert (await back.next())["event"] == "Connected"


async def test_pages_that_turn_out_damaged_while_running_block_the_bot(bot: Bot, driver: Driven, sandbox: Sandbox):
    await chat(bot, sandbox)
    file = driver.sessions / "bot-one.db"
    for path in (file, file.with_name("bot-one.db-wal")):
        with path.open("r+b") as out:
            for offset in range(4096 if path == file else 1 << 12, path.stat().st_size, 2048):
                out.seek(offset)
                out.write(os.urandom(512))
    working = asyncio.create_task(_work_at_once(bot))
    end = await bot.ending()
    working.cancel()
    assert end.kind == "Blocked"
    assert end.detail.startswith("auth state damaged or wrong key: ")
    await bot("start")
    assert (await bot.ending()).kind == "Blocked"


async def _work_at_once(bot: Bot) -> None:
    """One connection to the database may have every page in its cache and read none again. Its pool keeps two idle
    ones, so sends at the same time open new ones, again and again, and a new one reads from the file."""
    while True:
        sends = (bot("send", to=f"{ANNA}@s.whatsapp.net", text=f"at once {number}") for number in range(8))
        await asyncio.gather(*sends, return_exceptions=True)


async def test_a_deleted_file_is_no_reason_to_pair_anew(bot: Bot, driver: Driven, sandbox: Sandbox):
    await killed(driver)
    for suffix in ("", "-wal"):
        (driver.sessions / f"bot-one.db{suffix}").unlink(missing_ok=True)
    async with Driven(driver.sessions.parent, sandbox.descriptor_file) as again:
        back = again.bot("bot-one")
        await back("start")
        assert (await back.ending()).detail == "its auth file sessions/bot-one.db is missing"


async def test_what_was_in_the_clear_is_sealed_and_the_bot_stays_linked(tmp_path: Path, sandbox: Sandbox):
    async with Driven(tmp_path, sandbox.descriptor_file, env={"DRIVER_KEYS": "plain"}) as plain:
        await chat(await paired(plain, sandbox, "bot-one", BOT), sandbox)
        await killed(plain)
    file = plain.sessions / "bot-one.db"
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert found(plain.sessions)
    async with Driven(tmp_path, sandbox.descriptor_file) as sealed:
        bot = sealed.bot("bot-one")
        await bot("start")
        assert (await bot.next())["event"] == "Connected"
        await chat(bot, sandbox)
        assert found(sealed.sessions) == []
    async with Driven(tmp_path, sandbox.descriptor_file, env={"DRIVER_KEYS": "plain"}) as back:
        lost = back.bot("bot-one")
        await lost("start")
        assert 'but auth_state is "plain"' in (await lost.ending()).detail


async def test_a_kill_in_the_middle_of_a_pairing_is_no_damage(driver: Driven, sandbox: Sandbox):
    bot = driver.bot("bot-one")
    await bot("start")
    await bot.until("QrCode")
    [child] = map(int, Path(f"/proc/{driver.process.pid}/task/{driver.process.pid}/children").read_text().split())
    command = Path(f"/proc/{child}/cmdline").read_bytes() + Path(f"/proc/{child}/environ").read_bytes()
    head = (driver.sessions / "bot-one.db").read_bytes()[:16]
    assert FileKeys.derive(MASTER, head, "bot-one").key.hex().encode() not in command
    assert MASTER.text().encode() not in command
    os.kill(child, signal.SIGKILL)
    assert (await bot.ending()).kind == "TransportError"
    await bot("start")
    phone = await sandbox.phone(BOT)
    await phone.scan((await bot.until("QrCode"))["code"])
    await bot.until("Connected")
