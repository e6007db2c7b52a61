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


async def make_client(name: str, folder: Path, options: str | None) -> Any:
    """A client whose database has these *options* of the driver, or its defaults."""
    # The engine appends options of its own, which the last one here takes in.
    database = str(folder / f"{name}.db") + ("" if options is None else f"?{options}&_rest=")
    client = NewAClient(database, uuid=name)

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


async def send(client: Any, to: str, count: int, at_once: int) -> None:
    rest = iter(range(count))

    async def caller() -> None:
        for number in rest:
            started = time.time()
            sent = await client.send_message(build_jid(to), f"bare {number}")
            answer(sent=sent.ID, started=started, to=to)

    await asyncio.gather(*(caller() for _ in range(at_once)))


async def send_all(clients: dict[str, Any], job: dict[str, Any]) -> None:
    names, to, count = job["names"], job["to"], job["count"]
    await asyncio.gather(*(send(clients[name], to, count, job.get("at_once", 1)) for name in names))
    answer(done=[*names, to, count])


async def serve(folder: Path) -> None:
    clients: dict[str, Any] = {}
    sending: set[asyncio.Task[None]] = set()
    answer(ready=True)
    async for job in jobs():
        match job["do"]:
            case "connect":
                client = clients[job["name"]] = await make_client(job["name"], folder, job.get("options"))
                started = time.time()
                await client.connect()
                answer(dialled=job["name"], started=started)
            case "send":
                sending.add(task := asyncio.create_task(send_all(clients, job)))
                task.add_done_callback(sending.discard)
            case "rss":
                answer(rss=int(Path("/proc/self/statm").read_text().split()[1]) * 4096)


if __name__ == "__main__":
    run(serve(Path(sys.argv[1])), threads=128)
