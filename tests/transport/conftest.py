from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.harness.fixtures import sandbox, show_logs_on_failure
from tests.harness.sandbox import Sandbox
from tests.transport.driven import Bot, Driven

__all__ = ["sandbox", "show_logs_on_failure"]


@pytest_asyncio.fixture
async def driver(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Driven]:
    deadlines = ("bot.SEND_DEADLINE=1", "probing.PROBE_DEADLINE=1", "bot.LOGOUT_DEADLINE=3")
    async with Driven(tmp_path, sandbox.descriptor_file, *deadlines) as running:
        yield running


@pytest_asyncio.fixture
async def bot(driver: Driven, sandbox: Sandbox) -> Bot:
    """A bot that is paired and connected as +49155100000001."""
    return await paired(driver, sandbox, "bot-one", "4915510000001")


async def paired(driver: Driven, sandbox: Sandbox, name: str, number: str) -> Bot:
    phone = await sandbox.phone(number)
    bot = driver.bot(name)
    await bot("start")
    await phone.scan((await bot.until("QrCode"))["code"])
    await bot.until("Connected")
    return bot
