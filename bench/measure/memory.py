"""Memory with 0, 1, 10, 50 connected idle bots."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.engine import BareEngine
from bench.table import Table
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

MEGABYTE = 1 << 20
SETTLE = 5.0
"""Seconds: prekeys are generated and uploaded just after the first login."""


async def measure(table: Table, folder: Path, sandbox: Sandbox, counts: list[int]) -> None:
    """Pairs the bots once, restarts, and reads the resident memory of the restarted program."""
    ours = await _ours(folder / "daemon-memory", sandbox, counts)
    base = await _bare(folder / "bare-memory", sandbox, counts)
    for count in ours:
        table.add(f"RSS with {count} connected bots", (ours[count] / MEGABYTE, base[count] / MEGABYTE), "MB")
    most = max(counts)
    if most > 0:
        per_bot = [(rss[most] - rss[0]) / most / MEGABYTE for rss in (ours, base)]
        table.add(f"memory per idle bot, over {most}", per_bot, "MB", "< 2")


async def _ours(folder: Path, sandbox: Sandbox, counts: list[int]) -> dict[int, int]:
    folder.mkdir()
    daemon = Daemon(folder, sandbox.descriptor_file)
    figures: dict[int, int] = {}
    await daemon.start()
    try:
        await asyncio.sleep(SETTLE)
        figures[0] = _rss(daemon.program.pid)
        for number in range(max(counts, default=0)):
            phone = await sandbox.phone(f"4915100050{number:03}")
            await daemon.add_bot(f"idle-{number}")
            await phone.scan(await daemon.qr(f"idle-{number}"))
            await daemon.until_state(f"idle-{number}", "connected")
            await daemon.call("PATCH", f"/v1/bots/idle-{number}", {"autostart": False})
            await daemon.call("POST", f"/v1/bots/idle-{number}/disconnect")
        for count in counts:
            await daemon.stop()
            await daemon.start()
            names = [f"idle-{number}" for number in range(count)]
            await asyncio.gather(*(daemon.call("POST", f"/v1/bots/{name}/connect") for name in names))
            await asyncio.gather(*(daemon.until_state(name, "connected") for name in names))
            await asyncio.sleep(SETTLE)
            figures[count] = _rss(daemon.program.pid)
    finally:
        await daemon.stop()
    return figures


async def _bare(folder: Path, sandbox: Sandbox, counts: list[int]) -> dict[int, int]:
    figures: dict[int, int] = {}
    async with BareEngine(folder, sandbox.descriptor) as bare:
        for number in range(max(counts, default=0)):
            name = f"idle-{number}"
            phone = await sandbox.phone(f"4915100060{number:03}")
            await bare.tell(do="connect", name=name)
            shown = await bare.until(lambda a, name=name: a.get("name") == name and "qr" in a)  # type: ignore[misc]  # a default argument binds the loop's value
            await phone.scan(shown["qr"])
            await bare.until(lambda a, name=name: a.get("connected") == name)  # type: ignore[misc]  # as above
    for count in [0, *counts]:
        async with BareEngine(folder, sandbox.descriptor) as bare:
            for number in range(count):
                await bare.tell(do="connect", name=f"idle-{number}")
            await bare.until_count("connected", count)
            await asyncio.sleep(SETTLE)
            await bare.tell(do="rss")
            figures[count] = (await bare.until(lambda a: "rss" in a))["rss"]
    return figures


def _rss(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
