"""From the commit of an event to its arrival at a receiver, and how an outage is caught up with.

The events are appended to the journal in this process, as those of bots are, at a steady rate and spread over chats; so
the figures hold the store and the deliveries and nothing of the engine. The receiver is a process of its own: on two
cores it and the daemon would otherwise take turns.
"""

from __future__ import annotations

import asyncio
import random
import resource
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import aiohttp

from bench.table import Figures, percentile
from tests.harness.keys import KEYS
from zapwire.core.tuning import Tuning
from zapwire.core.wiring import Core, open_core
from zapwire.model.bots import BotId
from zapwire.model.events import EventType
from zapwire.store.ports import UnitOfWork
from zapwire.store.sqlite.database import Database
from zapwire.transport.registry import TransportRegistry

BOT = BotId("bench")
NO_TRANSPORTS = TransportRegistry({})
"""There are no bots that could ask for one."""
CHATS = 50
SECONDS = 5
WAITING = 10_000
MANY_WAITING = 100_000
ENDPOINTS = 100
DOWN = 60
"""Seconds, and messages."""
_TEXT = "a message as people write them, neither short nor long, " * 2

_SERVER = """
import asyncio, sys, time
from aiohttp import web
got = {}
async def hook(request):
    body = await request.read()
    got.setdefault(request.headers["webhook-id"], time.time())
    count[0] += 1
    return web.Response(status=204)
async def show(request):
    while count[0] < int(request.query["wait"]):
        await asyncio.sleep(0.002)
    made = web.json_response([count[0], time.time(), got])
    if "clear" in request.query:
        got.clear(); count[0] = 0
    return made
count = [0]
async def main():
    app = web.Application()
    app.router.add_post("/hook", hook)
    app.router.add_get("/got", show)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(sys.argv[1])).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


class Receiver:
    """A receiver in a process of its own, on a port that stays when it goes and comes back."""

    def __init__(self, port: int, process: asyncio.subprocess.Process) -> None:
        self.port = port
        self._process = process

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int = 0) -> AsyncIterator[Receiver]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _SERVER, str(port), stdout=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            yield cls(int(await process.stdout.readline()), process)
        finally:
            process.kill()
            await process.wait()

    async def got(self, count: int) -> tuple[float, dict[str, float]]:
        """Wait for *count* deliveries; the time then, and when each event came first."""
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(600)) as session,
            session.get(f"http://127.0.0.1:{self.port}/got?wait={count}&clear=1") as answer,
        ):
            _, at, times = await answer.json()
            return at, times


@asynccontextmanager
async def core(folder: Path, **limits: Any) -> AsyncIterator[Core]:
    bounds = replace(Tuning(), **limits)
    networks = [ip_network("127.0.0.0/8")]
    async with (
        Database.open(folder / f"webhooks-{random.random()}.db", KEYS) as database,
        open_core(database, NO_TRANSPORTS, limits=bounds, webhook_networks=networks) as opened,
    ):
        yield opened


def append(count: int, chats: int, transaction: UnitOfWork) -> list[str]:
    """Events as `message.received` makes them; returns their ids."""
    made = []
    for _ in range(count):
        number = random.randrange(chats)
        party = {
            "id": f"prs_{number:024}",
            "jid": f"8{number:012}@lid",
            "phone": f"+4915{number:09}",
            "lid": f"8{number:012}@lid",
        }
        data = {"id": "3EB0" + "0" * 16, "chat": party, "sender": party, "from_me": False, "type": "text"}
        data |= {"text": _TEXT, "content": {"text": _TEXT}, "push_name": "Ana"}
        made.append(transaction.journal.append(EventType.MESSAGE_RECEIVED, BOT, data).id)
    return made


async def measure(figures: Figures, folder: Path) -> None:
    """All figures of webhooks."""
    for rate in (10, 100, 500):
        await _steady(figures, folder, rate)
    await _outage(figures, folder)
    for chats in (1, CHATS):
        await _down_for_a_minute(figures, folder, chats)
    await _beside_mute_ones(figures, folder)
    await _many_waiting(figures, folder)
    await _endpoints(figures, folder)


async def _steady(figures: Figures, folder: Path, rate: int) -> None:
    async with Receiver.open() as receiver, core(folder) as zapwire:
        await zapwire.endpoints.create(receiver.url, events=["message.*"])
        await zapwire.database.write(partial(append, 20, CHATS))  # connections and code are warm then
        await receiver.got(20)
        begun: dict[str, float] = {}
        start, count = time.monotonic(), rate * SECONDS

        async def one(number: int) -> None:
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            at = time.time()
            for event in await zapwire.database.write(partial(append, 1, CHATS)):
                begun[event] = at

        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(one(number))
        _, came = await receiver.got(count)
        took = [(came[event] - at) * 1000 for event, at in begun.items()]
        goals = ("< 5", "< 50") if rate == 100 else ("", "")
        for share, goal in zip((0.5, 0.99), goals, strict=True):
            what = f"event to webhook at {rate}/s, p{share * 100:.0f}"
            figures.add(what, percentile(took, share), "ms", goal)


async def _outage(figures: Figures, folder: Path) -> None:
    async with Receiver.open() as receiver:
        port = receiver.port
    async with core(folder, webhook_absence=1.0, webhook_probe_most=1.0) as zapwire:
        await zapwire.endpoints.create(f"http://127.0.0.1:{port}/hook", events=["message.*"])
        for _ in range(WAITING // 500):
            await zapwire.database.write(partial(append, 500, 200))
        await asyncio.sleep(2)
        before = _memory()
        async with Receiver.open(port) as receiver:
            await zapwire.database.write(partial(append, 1, 1_000_000))
            began = time.time()
            ended, came = await receiver.got(WAITING + 1)
            assert len(came) == WAITING + 1
        figures.add(f"{WAITING:,} waiting events drained after an outage", ended - began, "s")
        figures.add("memory that took", _memory() - before, "MB")


async def _down_for_a_minute(figures: Figures, folder: Path, chats: int) -> None:
    """A message a second while nobody is there, with the real delays."""
    async with Receiver.open() as receiver:
        port = receiver.port
    async with core(folder) as zapwire:
        await zapwire.endpoints.create(f"http://127.0.0.1:{port}/hook", events=["message.*"])
        for _ in range(DOWN):
            await zapwire.database.write(partial(append, 1, chats))
            await asyncio.sleep(1)
        began = time.time()
        async with Receiver.open(port) as receiver:
            _, came = await receiver.got(DOWN)
        figures.add(f"down for {DOWN} s, {chats} chats: until all had arrived", max(came.values()) - began, "s", "< 35")


async def _beside_mute_ones(figures: Figures, folder: Path) -> None:
    """Ten receivers that take connections and never answer, and a good one."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    mute = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with mute, Receiver.open() as receiver, core(folder) as zapwire:
        url = f"http://127.0.0.1:{mute.sockets[0].getsockname()[1]}/hook"
        for _ in range(10):
            await zapwire.endpoints.create(url, events=["message.*"], concurrency=64)
        await zapwire.endpoints.create(receiver.url, events=["message.*"], concurrency=64)
        began = time.time()
        await zapwire.database.write(partial(append, 150, CHATS))
        _, came = await receiver.got(150)
        figures.add("150 events beside ten mute receivers, the last", max(came.values()) - began, "s", "< 1")


async def _many_waiting(figures: Figures, folder: Path) -> None:
    """The receiver is away while *MANY_WAITING* events come in."""
    async with Receiver.open() as receiver:
        port = receiver.port
    async with core(folder) as zapwire:
        await zapwire.endpoints.create(f"http://127.0.0.1:{port}/hook", events=["message.*"])
        for _ in range(20):
            await zapwire.database.write(partial(append, 500, 5000))
        before = _memory()
        for _ in range((MANY_WAITING - 10_000) // 500):
            await zapwire.database.write(partial(append, 500, 5000))
        await asyncio.sleep(2)
        figures.add(f"memory from 10,000 to {MANY_WAITING:,} waiting events", _memory() - before, "MB", "flat")


async def _endpoints(figures: Figures, folder: Path) -> None:
    async with Receiver.open() as receiver, core(folder) as zapwire:
        for _ in range(ENDPOINTS):
            await zapwire.endpoints.create(receiver.url, events=["message.*"])
        await zapwire.database.write(partial(append, 1, 1))
        await receiver.got(ENDPOINTS)
        began = time.time()
        await zapwire.database.write(partial(append, 100, CHATS))
        ended, _ = await receiver.got(100 * ENDPOINTS)
        figures.add(f"deliveries with {ENDPOINTS} endpoints", 100 * ENDPOINTS / (ended - began), "/s")


def _memory() -> float:
    """Resident megabytes now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
