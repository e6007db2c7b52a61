"""A connection that stands and is deaf: told, and told again when it hears."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox


@pytest_asyncio.fixture
async def asking(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Daemon]:
    """A daemon that asks every second."""
    folder = tmp_path / "asking"
    folder.mkdir()
    async with Daemon(folder, sandbox.descriptor_file, ZAPWIRE_PROBE_INTERVAL="1") as running:
        yield running


@pytest.mark.timeout(180)
async def test_a_deaf_connection_is_told_and_its_recovery_too(asking: Daemon, sandbox: Sandbox) -> None:
    await linked_bot(asking, sandbox)
    contact = await sandbox.phone(CONTACT_NUMBER)
    async with asking.events("bot.unhealthy", "bot.healthy", "message.received") as events:
        await sandbox.call("POST", "/faults", {"kind": "deaf", "phone": BOT_NUMBER})
        await contact.send(BOT_NUMBER, "can you hear me?")
        told = await events.until(lambda e: e["type"] == "bot.unhealthy", 60)
        bot = told["data"]
        assert (bot["state"], bot["code"], bot["health"]["healthy"]) == ("connected", "silent", False)
        assert bot["health"]["probe_failures"] == 2
        assert bot["action"]
        assert not [event for event in events.seen if event["type"] == "message.received"]
        await sandbox.call("POST", "/faults", {"kind": "clear"})
        told = await events.until(lambda e: e["type"] == "bot.healthy", 60)
        assert (told["data"]["code"], told["data"]["health"]["healthy"]) == (None, True)
        assert told["data"]["health"]["round_trip"] > 0
    async with asking.events("message.received", after=0) as events:
        assert (await events.next())["data"]["text"] == "can you hear me?"
    history = (await asking.call("GET", "/v1/bots/shop/history"))["history"]
    assert "silent" in [entry["code"] for entry in history]
