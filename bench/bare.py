"""Bare neonize as a subprocess: its own client, nothing of ours round it. Run by bench.engine."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

from tests.harness.engine_side import answer, jobs, run

# isort: split
from neonize.aioze.client import NewAClient
from neonize.aioze.events import ConnectedEv, MessageEv
from neonize.utils import build_jid


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
    answer(ready=True)
    async for job in jobs():
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
    run(serve(Path(sys.argv[1])), threads=128)
