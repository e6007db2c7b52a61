"""Many bots of one daemon whose server is frozen, and what the others notice of it: nothing."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from tests.harness.sandbox import Sandbox
from tests.transport.conftest import paired
from tests.transport.driven import Bot, Driven, Failed

FROZEN = 8
SENDS = 6
"""More than a bot may have under way."""
ANNA = "4915510000099"


async def outcome(bot: Bot) -> str:
    try:
        await bot("send", to=f"{ANNA}@s.whatsapp.net", text="anyone?")
    except Failed as error:
        return error.kind
    return "sent"


async def test_frozen_bots_take_nothing_from_the_others(tmp_path: Path, sandbox: Sandbox):
    deadlines = (
        "transport.SEND_DEADLINE=8",
        "engine.engine.BEGIN_WITHIN=8",
        "session.BEGIN_WITHIN=8",
        "health_probe.PROBE_DEADLINE=20",
    )
    async with Driven(tmp_path, sandbox.descriptor_file, *deadlines) as driver:
        await sandbox.phone(ANNA)
        frozen = [await paired(driver, sandbox, f"frozen-{n}", f"491551000010{n}") for n in range(FROZEN)]
        healthy = await paired(driver, sandbox, "healthy", "4915510000001")
        assert await outcome(healthy) == "sent"
        for n in range(FROZEN):
            await sandbox.call("POST", "/faults", {"kind": "freeze", "phone": f"491551000010{n}"})
        hanging = [asyncio.create_task(outcome(bot)) for bot in frozen for _ in range(SENDS)]
        probes = [asyncio.create_task(answered(bot)) for bot in frozen for _ in range(3)]
        for _ in range(10):
            assert await outcome(healthy) == "sent"
            await healthy("probe")
        assert not any(task.done() for task in hanging), "they still hung meanwhile"
        ends: list[Any] = await asyncio.gather(*hanging)
        # What was handed over may have been sent; what was not was not.
        assert sorted(ends) == ["NotBegun"] * FROZEN * (SENDS - 4) + ["TimeoutError"] * FROZEN * 4
        await asyncio.gather(*probes)
        await sandbox.call("POST", "/faults", {"kind": "clear"})


async def probe(bot: Bot) -> None:
    with contextlib.suppress(Failed):
        await bot("probe")


async def test_a_send_that_a_reconnect_left_hanging_is_unknown_and_holds_up_nothing_for_ever(
    tmp_path: Path, sandbox: Sandbox
):
    deadlines = (
        "transport.SEND_DEADLINE=8",
        "transport.SEND_HANGS=10",
        "transport.CHECK_EVERY=0.3",
        "engine.engine.BEGIN_WITHIN=1",
    )
    async with Driven(tmp_path, sandbox.descriptor_file, *deadlines, "session.BEGIN_WITHIN=1") as driver:
        anna = await sandbox.phone(ANNA)
        bot = await paired(driver, sandbox, "bot-one", "4915510000001")
        assert await outcome(bot) == "sent"
        await sandbox.call("POST", "/faults", {"kind": "no-ack", "phone": "4915510000001"})
        hanging = asyncio.create_task(outcome(bot))
        await taken(sandbox, 2)
        await sandbox.call("POST", "/faults", {"kind": "drop", "phone": "4915510000001"})
        await bot.until("Connected")  # by the engine itself, which sends it once more
        await taken(sandbox, 3)
        await sandbox.call("POST", "/faults", {"kind": "clear"})
        behind = [asyncio.create_task(outcome(bot)) for _ in range(2)]
        assert await hanging == "TimeoutError"
        end = await bot.ending()
        assert (end.kind, "hangs in the engine" in end.detail) == ("TransportError", True)
        await asyncio.gather(*behind)
        await bot("start")
        await bot.until("Connected")
        assert await outcome(bot) == "sent"
        assert len((await anna.call("GET", "/inbox"))["messages"]) >= 2


async def taken(sandbox: Sandbox, count: int) -> None:
    """Wait until the server has read this many messages of bots."""
    async with asyncio.timeout(20):
        while len((await sandbox.call("GET", "/trace", direction="in"))["stanzas"]) < count:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.02)


async def test_a_frozen_server_answers_no_probe_however_many_are_open(tmp_path: Path, sandbox: Sandbox):
    deadlines = ("health_probe.PROBE_DEADLINE=0.5", "engine.engine.BEGIN_WITHIN=1", "session.BEGIN_WITHIN=1")
    async with Driven(tmp_path, sandbox.descriptor_file, *deadlines) as driver:
        bot = await paired(driver, sandbox, "bot-one", "4915510000001")
        await bot("probe")
        await sandbox.call("POST", "/faults", {"kind": "freeze"})
        for _ in range(4):
            with pytest.raises(Failed, match="TransportError: WhatsApp stopped answering"):
                await bot("probe")
        await sandbox.call("POST", "/faults", {"kind": "clear"})
        async with asyncio.timeout(20):
            while not await answered(bot):  # what was asked before is answered first
                pass


async def answered(bot: Bot) -> bool:
    try:
        await bot("probe")
    except Failed:
        return False
    return True
