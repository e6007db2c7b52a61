"""A full disk: the daemon says so, tells nothing that it has not stored, and goes on as if nothing had been."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.harness.chat import BOT_NUMBER, CONTACT_NUMBER, linked_bot
from tests.harness.daemon import Daemon
from tests.harness.disk import SmallDisk
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox

COUNT = 60


@pytest_asyncio.fixture
async def disk(tmp_path: Path) -> AsyncIterator[SmallDisk]:
    with SmallDisk(tmp_path / "disk") as small:
        yield small


async def until_ready(daemon: Daemon, status: int) -> dict:
    async with asyncio.timeout(30):
        while (answer := await daemon.ask("GET", "/readyz"))[0] != status:  # noqa: ASYNC110 - asks another process
            await asyncio.sleep(0.1)
    return dict(answer[1])


async def use_up(daemon: Daemon) -> None:
    """Write until there is no room left in what the database's files have already."""
    number, status = 0, 200
    while status == 200:
        number += 1
        status, _ = await daemon.ask("PATCH", "/v1/bots/shop", {"name": f"{number}"})
    assert status == 503


async def test_nothing_is_lost_or_told_too_early_on_a_full_disk(
    tmp_path: Path, sandbox: Sandbox, receiver: Receiver, disk: SmallDisk
) -> None:
    (tmp_path / "daemon").mkdir()
    file = disk.folder / "zapwire.db"
    async with Daemon(tmp_path / "daemon", sandbox.descriptor_file, ZAPWIRE_DATABASE=str(file)) as daemon:
        await daemon.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"]})
        await linked_bot(daemon, sandbox)
        contact = await sandbox.phone(CONTACT_NUMBER)
        disk.fill(daemon.program.pid, file.with_name("zapwire.db-wal"))
        await use_up(daemon)
        problem = await until_ready(daemon, 503)
        before = (await daemon.call("GET", "/v1/events", limit=1))["last_seq"]
        assert problem["code"] == "store"
        assert "database" in problem["detail"]
        assert (await daemon.ask("GET", "/livez"))[0] == 200
        for number in range(COUNT):
            await contact.send(BOT_NUMBER, f"{number}")
        status, problem = await daemon.ask("POST", "/v1/bots/shop/messages", {"to": f"+{CONTACT_NUMBER}", "text": "hi"})
        assert (status, problem["code"]) == (503, "store")
        async with asyncio.timeout(20):
            while "zapwire.core.monitoring.self_check" not in daemon.log:  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.1)
        page = await daemon.call("GET", "/v1/events", after=before)
        assert (page["events"], page["last_seq"]) == ([], before)
        assert receiver.deliveries.empty()
        assert "cannot write the database" in daemon.log
        async with daemon.events("message.received", after=before) as events:
            disk.free(daemon.program.pid)
            texts = [(await events.next())["data"]["text"] for _ in range(COUNT)]
        assert texts == [str(number) for number in range(COUNT)]
        assert sorted([(await receiver.next()).json()["data"]["text"] for _ in range(COUNT)]) == sorted(texts)
        await until_ready(daemon, 200)
        async with daemon.events("daemon.alert", after=before) as events:
            told = [(await events.next())["data"] for _ in range(2)]
        assert [(one["kind"], one["state"]) for one in told] == [("database", "raised"), ("database", "cleared")]
