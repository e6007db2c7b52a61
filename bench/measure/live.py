"""Five hundred WebSocket clients: how fast each event reaches them all, and what they cost.

The clients are a process of their own, which only counts frames and looks into those of ten clients; on two cores it is
the slower half.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from functools import partial
from pathlib import Path

from bench.measure.webhooks import BOT, core
from bench.table import Figures, percentile
from zapwire.api.http import listener as listening
from zapwire.api.server import make_app
from zapwire.core.wiring import Core
from zapwire.model.events import EventType
from zapwire.settings import load
from zapwire.store.ports import UnitOfWork

CLIENTS = 500
RATE = 20
SECONDS = 5
BURST = 200
_TOKEN = "a token of the benchmark, long enough 0123"
_TEXT = "a message as people write them, neither short nor long, " * 2

_SERVED = """
import asyncio, json, sys, time
import aiohttp
url, token, clients, first, second = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
took, count, reached = [], [0], {clients * first: asyncio.Event(), clients * (first + second): asyncio.Event()}
async def one(http, number, ready):
    async with http.ws_connect(url, headers={"X-Api-Key": token}, max_msg_size=0) as socket:
        ready[number] = True
        async for frame in socket:
            if number < 10 and count[0] < clients * first:
                took.append((time.time() - json.loads(frame.data)["data"]["at"]) * 1000)
            count[0] += 1
            if count[0] in reached:
                reached[count[0]].set()
async def main():
    ready = [False] * clients
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        tasks = [asyncio.create_task(one(http, number, ready)) for number in range(clients)]
        while not all(ready):
            await asyncio.sleep(0.05)
        print("ready", flush=True)
        for event in reached.values():
            await event.wait()
            print(json.dumps([time.time(), took]), flush=True)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
asyncio.run(main())
"""


async def measure(figures: Figures, folder: Path) -> None:
    """All figures of live events."""
    async with core(folder) as zapwire:
        app = make_app(zapwire, load({"max_streams": CLIENTS}), fixed_tokens=[_TOKEN])
        listener = socket.create_server(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/events"
        async with listening.serve(app, listener, drain=1, most=2 * CLIENTS):
            await _with(figures, zapwire, url)


async def _with(figures: Figures, zapwire: Core, url: str) -> None:
    before = _resident()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _SERVED, url, _TOKEN, str(CLIENTS), str(RATE * SECONDS), str(BURST)),
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 22,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    figures.add(f"memory of {CLIENTS} WebSocket clients", (_resident() - before), "MB")
    start = time.monotonic()
    for number in range(RATE * SECONDS):
        await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))
        await zapwire.database.write(partial(_append, 1))
    _, took = json.loads(await process.stdout.readline())
    for share in (0.5, 0.99):
        what = f"event to each of {CLIENTS} clients at {RATE}/s ({CLIENTS * RATE:,} frames/s), p{share * 100:.0f}"
        figures.add(what, percentile(took, share), "ms")
    begun = time.time()
    await zapwire.database.write(partial(_append, BURST))
    ended, _ = json.loads(await process.stdout.readline())
    figures.add(f"{BURST} events at once to {CLIENTS} clients", CLIENTS * BURST / (ended - begun), "frames/s")
    figures.add(f"memory of {CLIENTS} WebSocket clients after that", (_resident() - before), "MB")
    await process.wait()


def _append(count: int, transaction: UnitOfWork) -> None:
    for _ in range(count):
        data = {"id": "3EB0", "chat": {"jid": "8@lid"}, "text": _TEXT, "content": {"text": _TEXT}, "at": time.time()}
        transaction.journal.append(EventType.MESSAGE_RECEIVED, BOT, data)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)
