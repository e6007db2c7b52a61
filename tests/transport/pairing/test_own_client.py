"""Our own pairing client, with the real engine that logs in afterwards, against the sandbox."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.harness.proxy import IN_URL, TestProxy
from tests.harness.sandbox import Phone, Sandbox
from tests.transport.driven import Bot, Driven, Ended, Failed
from tests.transport.pairing.conftest import NUMBER, scanned, talks

OWN = {"DRIVER_PAIRING": "own"}
KEPT = pytest.mark.parametrize("own", ["sealed", "plain"], indirect=True)


@KEPT
async def test_a_scanned_code_links(own: Driven, sandbox: Sandbox, phone: Phone):
    bot = own.bot("bot")
    await scanned(bot, phone)
    await talks(bot, sandbox)


@KEPT
async def test_a_typed_code_links(own: Driven, sandbox: Sandbox, phone: Phone):
    bot = own.bot("bot")
    await bot("start")
    await bot.until("QrCode")
    with pytest.raises(Failed, match="no pairing code for this number"):
        await bot("code", phone="+12345")
    old = await bot("code", phone=f"+{NUMBER}")
    code = await bot("code", phone=f"+{NUMBER}")
    assert old != code
    await phone.enter_code(code)
    await talks(bot, sandbox)


async def test_a_hundred_bots_pair_at_once_in_one_process(tmp_path: Path, sandbox: Sandbox):
    count = 100
    env = {**OWN, "DRIVER_MAX_PAIRINGS": str(count)}
    async with Driven(tmp_path, sandbox.descriptor_file, env=env) as many:
        bots = [many.bot(f"bot-{number}") for number in range(count)]
        await asyncio.gather(*(bot("start") for bot in bots))
        codes = [(await bot.until("QrCode"))["code"] for bot in bots]
        assert len(set(codes)) == count
        phones = [await sandbox.phone(f"49155200{number:05}") for number in range(count)]
        await asyncio.gather(*(phone.scan(code) for phone, code in zip(phones, codes, strict=True)))
        for bot, phone in zip(bots, phones, strict=True):
            assert (await bot.until("Paired"))["identity"]["phone"] == f"+{phone.number}"
        await asyncio.gather(*(bot("stop") for bot in bots))
    assert len(list(many.sessions.glob("bot-*.db"))) == count


@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_bots_proxy_is_used_and_told_of_when_it_refuses_or_dies(
    tmp_path: Path, sandbox: Sandbox, phone: Phone, scheme: str
):
    async with (
        TestProxy(scheme, sandbox.descriptor) as proxy,
        Driven(tmp_path, sandbox.descriptor_file, env=OWN) as own,
    ):
        bot = own.bot("bot")
        await bot("proxy", url=proxy.url.replace(IN_URL, "proxy-user:wrong"))
        await bot("start")
        end = await bot.ending()
        assert end.condition == "unreachable"
        assert "user name" in end.detail
        assert "wrong" not in end.detail
        await bot("proxy", url=proxy.url)
        await bot("start")
        await bot.until("QrCode")
        assert proxy.open == 1
        await proxy.kill()
        end = await bot.ending()
        assert (end.kind, end.detail) == ("TransportError", "the connection to WhatsApp was lost while pairing")
        assert not await bot("keeps")
        await proxy.start()
        await scanned(bot, phone)
        await bot.until("Connected")


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_a_restart_in_the_middle_of_a_passkey_leaves_nothing_and_begins_again(
    tmp_path: Path, sandbox: Sandbox, phone: Phone, how: str
):
    await phone.call("PUT", "/passkey", {"demanded": True})
    async with contextlib.AsyncExitStack() as stack:
        own = await stack.enter_async_context(Driven(tmp_path, sandbox.descriptor_file, env=OWN))
        bot = own.bot("bot")
        await scanned(bot, phone)
        await bot.until("PairingProgress")
        if how == "kill":
            own.process.kill()
    assert list(own.sessions.glob("bot*")) == []
    async with Driven(tmp_path, sandbox.descriptor_file, env=OWN) as again:
        bot = again.bot("bot")
        await scanned(bot, phone)
        await bot.until("PairingProgress")
        answer = (await phone.call("POST", "/passkey/answer", {}))["answer"]
        await bot("answer_passkey", answer=answer)
        await bot.until("Connected")


async def killed(folder: Path, sandbox: Sandbox, phone: Phone, keys: str, at: str) -> None:
    """A pairing in a process that kills itself there, if it comes there."""
    env = {**OWN, "DRIVER_KEYS": keys, "KILL_AT": at, "KILL_COUNT": str(folder / "count")}
    async with Driven(folder, sandbox.descriptor_file, env=env, program="tests.transport.pairing.killed") as dying:
        bot = dying.bot("bot")
        with contextlib.suppress(Failed):
            await bot("start")
        code = (await bot.until("QrCode"))["code"]
        scanning = asyncio.create_task(phone.call("POST", "/scan", {"qr": code}))
        ended = asyncio.create_task(dying.process.wait())
        linked = asyncio.create_task(bot.until("Connected"))
        await asyncio.wait([ended, linked], return_when=asyncio.FIRST_COMPLETED)
        for task in (linked, scanning):
            task.cancel()
        await asyncio.gather(linked, scanning, return_exceptions=True)


@pytest.mark.parametrize("keys", ["5e" * 32, "plain"], ids=["sealed", "plain"])
async def test_a_kill_at_any_step_leaves_no_file_without_a_device(
    tmp_path: Path, sandbox: Sandbox, phone: Phone, keys: str
):
    (whole := tmp_path / "whole").mkdir()
    await killed(whole, sandbox, phone, keys, "put:0")
    steps = int((whole / "count").read_text())
    assert steps >= 2
    places = [*(f"put:{step}" for step in range(1, steps + 1)), "before-sign", "after-sign"]
    phones = [await sandbox.phone(f"491551111{number:04}") for number in range(len(places))]
    await asyncio.gather(*(
        killed_and_started_again(tmp_path / at.replace(":", "-"), sandbox, one, keys, at)
        for at, one in zip(places, phones, strict=True)
    ))  # fmt: skip


async def killed_and_started_again(folder: Path, sandbox: Sandbox, phone: Phone, keys: str, at: str) -> None:
    folder.mkdir()
    await killed(folder, sandbox, phone, keys, at)
    assert not (folder / "count").exists() or not at.startswith("put:"), at
    async with Driven(folder, sandbox.descriptor_file, env={**OWN, "DRIVER_KEYS": keys}) as after:
        bot = after.bot("bot")
        kept = (after.sessions / "bot.db").exists()
        assert await bot("keeps") is kept, at
        await bot("start")
        if at == "after-sign":
            await bot.until("Connected")
        elif kept:  # a device that WhatsApp was not told of
            assert (await bot.ending()).kind == "LoggedOut", at
        else:
            await bot.until("QrCode")


async def test_where_our_rows_do_not_fit_the_engines_store_the_engine_pairs(
    tmp_path: Path, sandbox: Sandbox, phone: Phone
):
    # A key id that the engine's store refuses, in place of a store that has changed.
    change = "pairing.own.device_row.PREKEY_ID=9e9"
    async with Driven(tmp_path, sandbox.descriptor_file, change, env={"DRIVER_PAIRING": "auto"}) as changed:
        bot = changed.bot("bot")
        await scanned(bot, phone)
        await bot.until("Connected")
        assert "only the engine pairs" in changed.log_text()
    (folder := tmp_path / "own").mkdir()
    async with Driven(folder, sandbox.descriptor_file, change, env=OWN) as changed:
        bot = changed.bot("bot")
        await bot("start")
        assert "the pairing client of our own cannot be used here" in (await bot.ending()).detail


REFUSALS: list[dict[str, Any]] = [
    {"reason": 401},
    {"reason": 402, "code": 101, "expire": 3600},
    {"reason": 403},
    {"reason": 405},
    {"reason": 406},
    {"reason": 428},
    {"reason": 463},
]


async def test_a_refused_pairing_says_why_as_the_engine_does(tmp_path: Path, sandbox: Sandbox, own: Driven):
    (folder := tmp_path / "engine").mkdir()
    async with Driven(folder, sandbox.descriptor_file, env={"DRIVER_PAIRING": "engine"}) as engine:
        for number, failure in enumerate(REFUSALS):
            await sandbox.call("POST", "/faults", {"kind": "failure", **failure})
            ends = []
            for driver in (own, engine):
                bot = driver.bot(f"bot-{number}")
                await bot("start")
                end = await bot.ending()
                ends.append((end.kind, end.detail, end.condition))
            await sandbox.call("POST", "/faults", {"kind": "clear"})
            assert ends[0] == ends[1], failure
    # The engine tries again by itself, with codes that are never shown; ours leaves that to the core's backoff.
    await sandbox.call("POST", "/faults", {"kind": "failure", "reason": 503})
    await own.bot("busy")("start")
    assert (await own.bot("busy").ending()).condition == "busy"


async def test_a_pairing_goes_on_with_new_codes_until_its_time_is_over(tmp_path: Path, sandbox: Sandbox, phone: Phone):
    # A code lasts no time here, so that WhatsApp's six are used up at once.
    lasts = ("pairing.own.client.FIRST_QR_LASTS=0", "pairing.own.client.NEXT_QR_LASTS=0")
    async with Driven(tmp_path, sandbox.descriptor_file, *lasts, env=OWN) as hasty:
        bot = hasty.bot("bot")
        await bot("start")
        with pytest.raises(Ended) as end:
            await bot.until("Paired")
        assert (end.value.kind, end.value.detail) == ("PairingTimedOut", "nobody scanned a QR code")
        await bot("options", timeout=600)
        await bot("start")
        while (await bot.until("QrCode"))["attempt"] < 8:
            pass
        await bot("options", timeout=0.5)
        await bot("stop")
        await bot("start")
        end = await bot.ending()
        assert end.kind == "PairingTimedOut"


def descriptor_of(sandbox: Sandbox, folder: Path, **other: Any) -> Path:
    path = folder / "other.json"
    path.write_text(json.dumps({**sandbox.descriptor, **other}))
    return path


async def test_a_server_that_is_not_whatsapp_gets_nothing(tmp_path: Path, sandbox: Sandbox):
    # The engine trusts the other root, too; here only that it is refused matters.
    path = descriptor_of(sandbox, tmp_path, noise_root="11" * 32)
    async with Driven(tmp_path, path, env=OWN) as fooled:
        bot: Bot = fooled.bot("bot")
        await bot("start")
        end = await bot.ending()
        assert (end.detail, end.condition) == (
            "WhatsApp cannot be reached: it is not a genuine WhatsApp server",
            "unreachable",
        )
