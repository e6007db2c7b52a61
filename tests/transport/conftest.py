from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.fixtures import sandbox, show_logs_on_failure
from tests.harness.sandbox import Sandbox
from tests.transport.driven import Bot, Driven

__all__ = ["sandbox", "show_logs_on_failure"]


BOTH_WAYS = pytest.mark.parametrize("driver", ["engine", "own"], indirect=True)
"""For tests of pairing: who pairs."""


@pytest_asyncio.fixture
async def driver(tmp_path: Path, sandbox: Sandbox, request: pytest.FixtureRequest) -> AsyncIterator[Driven]:
    deadlines = ("transport.SEND_DEADLINE=1", "health_probe.PROBE_DEADLINE=1", "transport.LOGOUT_DEADLINE=3")
    env = {"DRIVER_PAIRING": getattr(request, "param", "auto")}
    async with Driven(tmp_path, sandbox.descriptor_file, *deadlines, env=env) as running:
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
