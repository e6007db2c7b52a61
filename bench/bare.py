"""Bare neonize as a subprocess: its own client, nothing of ours round it. Run by bench.engine."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.harness.engine_side import answer, jobs, run

# isort: split
from neonize.aioze.client import NewAClient
from neonize.aioze.events import ConnectedEv, MessageEv
from neonize.proto.waE2E.WAWebProtobufsE2E_pb2 import DocumentMessage, Message
from neonize.utils import build_jid
from neonize.utils.enum import MediaType


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


async def media(client: Any, size: int, to: str) -> None:
    """Upload a document, send it, and download it, as the engine does it: seconds, and MB over idle at the peak."""
    data = os.urandom(size)
    idle, began = _memory_from_now_on(), time.time()
    made = await client.upload(data, MediaType.MediaDocument)
    up, up_memory = time.time() - began, _peak() - idle
    document = DocumentMessage(
        URL=made.url, directPath=made.DirectPath, mediaKey=made.MediaKey, fileEncSHA256=made.FileEncSHA256,
        fileSHA256=made.FileSHA256, fileLength=size, mimetype="application/octet-stream", fileName="bench.bin",
    )  # fmt: skip
    message = Message(documentMessage=document)
    await client.send_message(build_jid(to), message)
    del data
    idle, began = _memory_from_now_on(), time.time()
    got = await client.download_any(message)
    assert got is not None
    assert len(got) == size
    answer(up=up, up_memory=up_memory, down=time.time() - began, down_memory=_peak() - idle)


def _memory_from_now_on() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def _peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


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
            case "media":
                await media(clients[job["name"]], job["size"], job["to"])
            case "rss":
                answer(rss=int(Path("/proc/self/statm").read_text().split()[1]) * 4096)


if __name__ == "__main__":
    run(serve(Path(sys.argv[1])), threads=128)
