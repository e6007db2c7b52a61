"""Our own pairing client against the engine's child process: the same daemon, the same sandbox, one after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from bench.measure.pairing import pair
from bench.table import Table, percentile
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

WAYS = ("own", "engine")
COLUMNS = ("own client", "engine's child")
ROUNDS = 15
OPEN = 16
"""Pairings left open for the memory; as many as there are children at one time."""
AT_ONCE = 100
KIBIBYTE = 1 / 1024


async def measure(table: Table, folder: Path, sandbox: Sandbox) -> None:
    """Pairs some 300 bots."""
    figures = [await _one_way(folder / way, sandbox, way, number) for number, way in enumerate(WAYS)]
    rows = (
        ("connect to QR, p50", "ms", "< 200 ms"),
        ("connect to QR, p95", "ms", ""),
        ("scan to connected, p50", "ms", ""),
        ("memory of an open pairing", "MB", "< 1 MB"),
        (f"{AT_ONCE} pairings at once: last QR code", "s", ""),
        (f"{AT_ONCE} pairings at once: all connected", "s", ""),
    )
    for (what, unit, goal), values in zip(rows, zip(*figures, strict=True), strict=True):
        table.add(f"pairing: {what}", values, unit, goal)


async def _one_way(folder: Path, sandbox: Sandbox, way: str, number: int) -> Sequence[float]:
    folder.mkdir(parents=True)
    async with Daemon(
        folder, sandbox.descriptor_file, ZAPWIRE_PAIRING=way, ZAPWIRE_MAX_PAIRINGS=str(AT_ONCE)
    ) as daemon:
        times = [await pair(sandbox, daemon, f"{way}-{turn}", f"4915100{number}{turn:05}") for turn in range(ROUNDS)]
        to_qr, to_connected = ([1000 * one[part] for one in times] for part in (0, 1))
        memory = await _memory(daemon, way)
        at_once = await _at_once(sandbox, daemon, way, number)
    return percentile(to_qr, 0.5), percentile(to_qr, 0.95), percentile(to_connected, 0.5), memory, *at_once


async def _memory(daemon: Daemon, way: str) -> float:
    """Megabytes for each pairing that waits for a scan, in the daemon and its children."""
    before = _private(daemon.program.pid)
    names = [f"{way}-open-{number}" for number in range(OPEN)]
    await asyncio.gather(*(daemon.add_bot(name) for name in names))
    await asyncio.gather(*(daemon.qr(name) for name in names))
    grown = _private(daemon.program.pid) - before
    for name in names:
        await daemon.call("DELETE", f"/v1/bots/{name}")
    return grown / OPEN


async def _at_once(sandbox: Sandbox, daemon: Daemon, way: str, number: int) -> tuple[float, float]:
    """Seconds until the last code was there, and until the last bot was connected; each is scanned as it comes."""
    names = [f"{way}-many-{turn}" for turn in range(AT_ONCE)]
    phones = [await sandbox.phone(f"4915101{number}{turn:05}") for turn in range(AT_ONCE)]
    for name in names:
        await daemon.call("POST", "/v1/bots", {"id": name, "autostart": False})
    shown: list[float] = []
    async with daemon.events("bot.state") as events:
        started = time.perf_counter()

        async def scan(turn: int) -> None:
            name = names[turn]
            await daemon.call("POST", f"/v1/bots/{name}/connect")
            code = await _code(daemon, name)
            shown.append(time.perf_counter() - started)
            await phones[turn].scan(code)

        scanning = asyncio.gather(*(scan(turn) for turn in range(AT_ONCE)))
        left = set(names)
        while left:
            event = await events.until(lambda e: e["data"]["state"] == "connected", 120)
            left.discard(event["bot"])
        connected = time.perf_counter() - started
        await scanning
    return max(shown), connected


async def _code(daemon: Daemon, name: str) -> str:
    while True:
        status, answer = await daemon.ask("GET", f"/v1/bots/{name}/qr", wait=30)
        if status == 200:
            return str(answer["code"])
        assert status == 409, answer  # it waits for its turn


def _private(pid: int) -> float:
    """Megabytes that this process and its children have for themselves."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * KIBIBYTE
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(_private(int(child)) for child in children)
