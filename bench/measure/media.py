"""Files of 100 MB both ways, beside the engine's own upload and download, and how much memory that takes."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.engine import BareEngine
from bench.table import Figures, Table
from tests.harness.daemon import Daemon

SIZE = 100 << 20
SMALL = 100_000
MANY = 100
BOT, BARE = "4915100010000", "4915100020000"
"""Bot 0 of each, which bench.measure.pairing linked."""


async def measure(table: Table, figures: Figures, daemon: Daemon, bare: BareEngine) -> None:
    """Up: from the API call until WhatsApp took the message; down: from the request until the last byte."""
    pid, data = daemon.program.pid, os.urandom(SIZE)
    idle = _memory_from_now_on(pid)
    began = time.perf_counter()
    media = await _upload(daemon, data, "document")
    stored = time.perf_counter()
    await _send(daemon, {"type": "document", "media": {"id": media}})
    up, up_memory = SIZE / 1e6 / (time.perf_counter() - stored), _peak(pid) - idle
    figures.add("100 MB document taken by the API, encrypted to disk", SIZE / 1e6 / (stored - began), "MB/s")

    await bare.tell(do="media", name="bench-0", size=SIZE, to=BOT)
    told = await bare.until(lambda a: "down" in a, within=300)
    async with daemon.events("message.received", after=0) as events:
        event = await events.until(lambda e: e["data"]["type"] == "document", 60)
    idle = _memory_from_now_on(pid)
    began, read = time.perf_counter(), 0
    async with daemon.http.get(f"/v1/media/{event['data']['content']['media']}") as answer:
        async for piece in answer.content.iter_any():
            read += len(piece)
    assert read == SIZE
    down, down_memory = SIZE / 1e6 / (time.perf_counter() - began), _peak(pid) - idle
    table.add("100 MB document up", (up, SIZE / 1e6 / told["up"]), "MB/s")
    table.add("100 MB document down", (down, SIZE / 1e6 / told["down"]), "MB/s")
    table.add("peak memory over idle, up", (up_memory, told["up_memory"]), "MB", "< 16")
    table.add("peak memory over idle, down", (down_memory, told["down_memory"]), "MB", "< 16")

    image = await _upload(daemon, _jpeg(), "image")
    await _send(daemon, {"type": "image", "media": {"id": image}})
    began = time.perf_counter()
    for _ in range(MANY):
        await _send(daemon, {"type": "image", "media": {"id": image}})
    figures.add(
        "100 kB image, uploaded before, sent to one after the other", MANY / (time.perf_counter() - began), "/s"
    )


async def _upload(daemon: Daemon, data: bytes, kind: str) -> str:
    async with daemon.http.post("/v1/bots/bench-0/media", data=data, params={"type": kind}) as answer:
        told = await answer.json()
        assert answer.status == 201, told
        return str(told["id"])


async def _send(daemon: Daemon, body: dict[str, object]) -> None:
    sent = await daemon.call("POST", "/v1/bots/bench-0/messages", {"to": f"+{BARE}", **body}, wait=60)
    assert sent["whatsapp_id"], sent


def _memory_from_now_on(pid: int) -> float:
    """Begin to look for the peak; returns what is in use now, in MB."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 1e6


def _peak(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _jpeg() -> bytes:
    import io  # noqa: PLC0415 - as Pillow, only where images are made

    from PIL import Image  # noqa: PLC0415

    written = io.BytesIO()
    Image.effect_noise((420, 300), 60).convert("RGB").save(written, "JPEG", quality=95)
    return written.getvalue()
