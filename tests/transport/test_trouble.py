"""A real engine and a sandbox that misbehaves: what a bot says, and whether it comes back."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.harness.sandbox import Sandbox
from tests.transport.conftest import BOTH_WAYS
from tests.transport.driven import Bot, Driven, Failed

BOT = "4915510000001"
ANNA = "4915510000002"


async def fault(sandbox: Sandbox, kind: str, **values: object) -> None:
    await sandbox.call("POST", "/faults", {"kind": kind, **values})


async def test_every_failure_has_its_words(bot: Bot, sandbox: Sandbox):
    expected = {
        402: ("Blocked", "banned this account for 1:00:00: it sent too many messages to people"),
        405: ("Blocked", "no longer accepts this version"),
        400: ("Blocked", "failure 400"),
        409: ("Blocked", "failure 409"),
        418: ("Blocked", "failure 418"),
        501: ("TransportError", "failure 501"),
    }
    await bot("stop")
    for reason, (kind, words) in expected.items():
        more = {"code": 101, "expire": 3600} if reason == 402 else {}
        await fault(sandbox, "failure", reason=reason, **more)
        await bot("start")
        end = await bot.ending()
        assert end.kind == kind
        assert words in end.detail
        assert (end.action is None) == (kind == "TransportError")
        await fault(sandbox, "clear")
    await bot("start")
    await bot.until("Connected")


async def test_a_busy_server_is_tried_again(bot: Bot, sandbox: Sandbox):
    await fault(sandbox, "failure", reason=503, times=2)
    await fault(sandbox, "drop")
    reasons = [(await bot.until("Disconnected"))["reason"]]
    while "failure 503" not in reasons[-1]:
        reasons.append((await bot.until("Disconnected"))["reason"])
    await bot.until("Connected")


@pytest.mark.parametrize("reason", [401, 403, 406])
async def test_a_device_that_was_removed_while_offline_is_logged_out(bot: Bot, sandbox: Sandbox, reason: int):
    await bot("stop")
    await fault(sandbox, "failure", reason=reason)
    await bot("start")
    end = await bot.ending()
    assert end.kind == "LoggedOut"
    assert "QR code" in end.action
    await fault(sandbox, "clear")
    await bot("start")
    assert (await bot.next())["event"] == "QrCode"


async def test_a_device_that_is_removed_while_online_is_logged_out_and_can_pair_again(bot: Bot, sandbox: Sandbox):
    phone = await sandbox.phone(BOT)
    await fault(sandbox, "stream-error", code=401, conflict="device_removed")
    assert (await bot.ending()).kind == "LoggedOut"
    await bot("start")
    await phone.scan((await bot.until("QrCode"))["code"])
    await bot.until("Connected")


async def test_a_session_taken_over_by_another_program_is_blocked(bot: Bot, sandbox: Sandbox):
    await fault(sandbox, "stream-error", conflict="replaced")
    end = await bot.ending()
    assert end.kind == "Blocked"
    assert "another program" in end.detail


async def test_a_cut_line_is_mended(bot: Bot, sandbox: Sandbox):
    await fault(sandbox, "drop")
    await bot.until("Disconnected")
    await bot.until("Connected")


async def test_while_the_server_refuses_the_reason_is_told(bot: Bot, sandbox: Sandbox):
    await fault(sandbox, "refuse")
    await fault(sandbox, "drop")
    assert (await bot.until("Disconnected"))["reason"] == "the connection to WhatsApp was lost"
    assert "WhatsApp cannot be reached" in (await bot.until("Disconnected"))["reason"]
    await bot("stop")
    await bot("start")
    assert "WhatsApp cannot be reached" in (await bot.ending()).detail


async def test_a_frozen_server_is_noticed_and_left(bot: Bot, sandbox: Sandbox):
    await sandbox.phone(ANNA)
    await fault(sandbox, "freeze")
    with pytest.raises(Failed, match="TimeoutError"):
        await bot("send", to=f"{ANNA}@s.whatsapp.net", text="anyone?")
    end = await bot.ending()
    assert (end.kind, end.detail) == ("TransportError", "WhatsApp stopped answering")
    await fault(sandbox, "thaw")
    await bot("start")
    await bot.until("Connected")


@BOTH_WAYS
async def test_a_stopped_pairing_leaves_nothing_and_can_start_over(
    driver: Driven, sandbox: Sandbox, request: pytest.FixtureRequest
):
    bot = driver.bot("bot-one")
    await bot("start")
    first = await bot.until("QrCode")
    assert len(children(driver.process.pid)) == (0 if "own" in request.node.name else 1)
    await bot("stop")
    assert children(driver.process.pid) == []
    await bot("start")
    second = await bot.until("QrCode")
    assert second["attempt"] == 1
    assert second["code"] != first["code"]


async def test_a_pairing_dies_with_the_daemon(driver: Driven, sandbox: Sandbox):
    bot = driver.bot("bot-one")
    await bot("start")
    await bot.until("QrCode")
    [child] = children(driver.process.pid)
    ended = asyncio.Event()
    child_fd = os.pidfd_open(child)
    asyncio.get_running_loop().add_reader(child_fd, ended.set)
    driver.process.kill()
    try:
        async with asyncio.timeout(10):
            await ended.wait()
    finally:
        asyncio.get_running_loop().remove_reader(child_fd)
        os.close(child_fd)


@BOTH_WAYS
async def test_a_pairing_that_loses_its_connection_is_told(driver: Driven, sandbox: Sandbox):
    bot = driver.bot("bot-one")
    await bot("start")
    await bot.until("QrCode")
    await fault(sandbox, "drop")
    end = await bot.ending()
    assert (end.kind, end.detail) == ("TransportError", "the connection to WhatsApp was lost while pairing")


async def test_a_pairing_process_that_crashes_is_told(driver: Driven, sandbox: Sandbox):
    bot = driver.bot("bot-one")
    await bot("start")
    await bot.until("QrCode")
    os.kill(children(driver.process.pid)[0], 9)
    assert "pairing process ended by itself" in (await bot.ending()).detail


async def test_an_auth_database_that_is_taken_away_is_told(tmp_path: Path, sandbox: Sandbox):
    async with Driven(tmp_path, sandbox.descriptor_file, "transport.CHECK_EVERY=0.3") as driver:
        bot, phone = driver.bot("bot-one"), await sandbox.phone(BOT)
        await bot("start")
        await phone.scan((await bot.until("QrCode"))["code"])
        await bot.until("Connected")
        (driver.sessions / "bot-one.db").rename(tmp_path / "away.db")
        while (told := await bot.next())["event"] not in {"ended", "Troubled"}:
            pass  # the account's name, or the history that its phone offers
        if told["event"] == "ended":  # the engine wanted to open it once more at this very moment
            assert "its auth database cannot be used" in told["detail"]
            return
        assert (told["event"], told["condition"]) == ("Troubled", "auth-damaged")
        assert "until its next start" in told["reason"]
        assert told["action"]


@pytest.mark.parametrize("way", ["engine", "own"])
async def test_more_pairings_than_allowed_wait_and_say_so(tmp_path: Path, sandbox: Sandbox, way: str):
    env = {"DRIVER_MAX_PAIRINGS": "1", "DRIVER_PAIRING": way}
    async with Driven(tmp_path, sandbox.descriptor_file, env=env) as driver:
        first, second = driver.bot("bot-one"), driver.bot("bot-two")
        await first("start")
        await first.until("QrCode")
        await second("start")
        waiting = await second.until("Disconnected")
        assert waiting["reason"] == "waits for its turn to pair: 1 bots are being paired already"
        await first("stop")
        await second.until("QrCode")


@pytest.mark.parametrize("trouble", ["stopped", "mute"])
async def test_a_logout_that_whatsapp_did_not_hear_of_says_so_and_destroys_nothing(
    bot: Bot, driver: Driven, sandbox: Sandbox, trouble: str
):
    if trouble == "stopped":
        await bot("stop")
    else:
        await fault(sandbox, "freeze")
    with pytest.raises(Failed, match="the phone still lists this device"):
        await bot("logout")
    assert (driver.sessions / "bot-one.db").exists()
    if trouble == "stopped":
        await bot("start")
        await bot.until("Connected")
        await bot("logout")
        assert not list(driver.sessions.iterdir())
        await bot("logout")  # nothing is left to unlink


@BOTH_WAYS
async def test_a_logout_of_a_bot_that_is_pairing_or_never_paired_leaves_nothing(driver: Driven, sandbox: Sandbox):
    bot = driver.bot("bot-one")
    await bot("logout")
    await bot("start")
    await bot.until("QrCode")
    await bot("logout")
    await bot("stop")
    assert not list(driver.sessions.iterdir())


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def test_a_server_that_says_nothing_holds_up_nobody(tmp_path: Path, bot: Bot, driver: Driven, sandbox: Sandbox):
    driver.process.kill()  # or it would have the auth file of bot-one
    await driver.process.wait()
    writers: list[asyncio.StreamWriter] = []
    mute = await asyncio.start_server(lambda _reader, writer: writers.append(writer), "127.0.0.1")
    async with mute:
        descriptor = tmp_path / "mute.json"
        proxy = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}"
        descriptor.write_text(json.dumps({**sandbox.descriptor, "proxy": proxy}))
        deadlines = (
            "session.DIAL_DEADLINE=1",
            "pairing.engine_child.attempt.FIRST_QR_DEADLINE=1",
            "factory.CLOSE_DEADLINE=0",
        )
        async with Driven(tmp_path, descriptor, *deadlines) as elsewhere:
            for name in ("bot-two", "bot-one"):  # one that is not paired, and one that is
                lost = elsewhere.bot(name)
                await lost("start")
                assert (await lost.ending(within=10)).detail == "WhatsApp cannot be reached: it did not answer in time"
        for writer in writers:
            writer.close()
