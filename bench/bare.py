"""Bare neonize as a subprocess: its own client, nothing of ours round it. Told what to do by JSON lines on stdin.

Run by bench.engine with SSL_CERT_FILE and HTTPS_PROXY in its environment. Answers are JSON lines on the descriptor
named in BENCH_ANSWERS, as the engine itself prints to stdout.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# neonize's client imports python-magic for media; no media is sent here, and a fresh machine has no libmagic
sys.modules.setdefault("magic", types.ModuleType("magic"))

from neonize.aioze.client import NewAClient  # noqa: E402 -- after the line above
from neonize.aioze.events import ConnectedEv, MessageEv  # noqa: E402
from neonize.utils import build_jid  # noqa: E402

PINNED_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


def answer(**values: Any) -> None:
    os.write(int(os.environ["BENCH_ANSWERS"]), json.dumps({"at": time.time(), **values}).encode() + b"\n")


def trust(root: bytes) -> None:
    """Make the engine accept the sandbox's Noise root."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        if "neonize" in line and "rw" in fields[1]:
            low, high = (int(part, 16) for part in fields[0].split("-"))
            at = ctypes.string_at(low, high - low).find(PINNED_ROOT)
            if at >= 0:
                ctypes.memmove(low + at, root, 32)


async def make_client(name: str, folder: Path) -> Any:
    client = NewAClient(str(folder / f"{name}.db"), uuid=name)

    @client.event(ConnectedEv)
    async def connected(_: Any, __: Any) -> None:
        answer(connected=name)

    @client.event(MessageEv)
    async def received(_: Any, event: Any) -> None:
        answer(received=event.Info.ID)

    @client.qr
    async def shown(_: Any, code: bytes) -> None:
        answer(qr=code.decode(), name=name)

    return client


async def send(client: Any, to: str, count: int) -> None:
    for number in range(count):
        started = time.time()
        sent = await client.send_message(build_jid(to), f"bare {number}")
        answer(sent=sent.ID, started=started)


async def serve(folder: Path) -> None:
    clients: dict[str, Any] = {}
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    answer(ready=True)
    async for line in lines:
        job = json.loads(line)
        match job["do"]:
            case "connect":
                client = clients[job["name"]] = await make_client(job["name"], folder)
                started = time.time()
                await client.connect()
                answer(dialled=job["name"], started=started)
            case "send":
                await asyncio.gather(*(send(clients[name], job["to"], job["count"]) for name in job["names"]))
                answer(done=True)
            case "rss":
                answer(rss=int(Path("/proc/self/statm").read_text().split()[1]) * 4096)


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        # the engine parks one thread of the default executor per client
        runner.get_loop().set_default_executor(ThreadPoolExecutor(128))
        trust(bytes.fromhex(os.environ["BENCH_NOISE_ROOT"]))
        runner.run(serve(Path(sys.argv[1])))
