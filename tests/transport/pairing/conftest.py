from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.fixtures import sandbox, show_logs_on_failure
from tests.harness.sandbox import Phone, Sandbox
from tests.transport.driven import Bot, Driven

__all__ = ["sandbox", "show_logs_on_failure"]

NUMBER = "4915510000001"
ANNA = "4915510000002"


@pytest_asyncio.fixture
async def own(tmp_path: Path, sandbox: Sandbox, request: pytest.FixtureRequest) -> AsyncIterator[Driven]:
    """A transport that pairs with our own client; the parameter is how auth state is kept."""
    keys = {"plain": "plain"}.get(getattr(request, "param", ""), "5e" * 32)
    env = {"DRIVER_PAIRING": "own", "DRIVER_KEYS": keys}
    async with Driven(tmp_path, sandbox.descriptor_file, env=env) as running:
        yield running


@pytest_asyncio.fixture
async def phone(sandbox: Sandbox) -> Phone:
    return await sandbox.phone(NUMBER)


async def scanned(bot: Bot, phone: Phone) -> None:
    await bot("start")
    await phone.scan((await bot.until("QrCode"))["code"])


async def talks(bot: Bot, sandbox: Sandbox) -> None:
    """It is linked, sends and receives, and does so again after a new start."""
    await bot.until("Connected")
    await sandbox.phone(ANNA)
    await bot("stop")
    await bot("start")
    connected = await bot.until("Connected")
    assert connected["identity"]["phone"] == f"+{NUMBER}"
    await bot("send", to=f"{ANNA}@s.whatsapp.net", text="out")
    await sandbox.call("POST", f"/phones/{ANNA}/send", {"to": NUMBER, "text": "in"})
    assert (await bot.until("Received"))["message"]["content"]["text"] == "in"
