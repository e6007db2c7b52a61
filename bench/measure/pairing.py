"""From `connect` to a QR code, from a scan to connected."""

from __future__ import annotations

import time

from bench.engine import BareEngine
from bench.table import Table, percentile
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

ROUNDS = 5


async def measure(table: Table, sandbox: Sandbox, daemon: Daemon, bare: BareEngine) -> None:
    """Pairs bots `bench-0..4` of the daemon and clients of the same names of bare neonize."""
    ours = [await pair(sandbox, daemon, f"bench-{number}", f"4915100010{number:03}") for number in range(ROUNDS)]
    base = [await _bare(sandbox, bare, number) for number in range(ROUNDS)]
    for index, (what, goal) in enumerate([("connect to QR, p50", "< 1,500 ms"), ("scan to connected, p50", "")]):
        columns = [percentile([row[index] * 1000 for row in rows], 0.5) for rows in (ours, base)]
        table.add(what, columns, "ms", goal)


async def pair(sandbox: Sandbox, daemon: Daemon, name: str, number: str) -> tuple[float, float]:
    """Pair a new bot; seconds from `connect` to the QR code, and from the scan to connected."""
    phone = await sandbox.phone(number)
    await daemon.call("POST", "/v1/bots", {"id": name, "autostart": False})
    async with daemon.events("bot.state") as events:
        started = time.time()
        await daemon.call("POST", f"/v1/bots/{name}/connect")
        code = await daemon.qr(name)
        shown = time.time()
        await phone.scan(code)
        await events.until(lambda e: e["bot"] == name and e["data"]["state"] == "connected")
        return shown - started, time.time() - shown


async def _bare(sandbox: Sandbox, bare: BareEngine, number: int) -> tuple[float, float]:
    name = f"bench-{number}"
    phone = await sandbox.phone(f"4915100020{number:03}")
    await bare.tell(do="connect", name=name)
    shown = await bare.until(lambda a: a.get("name") == name and "qr" in a)
    started = await bare.until(lambda a: a.get("dialled") == name)
    scanned = time.time()
    await phone.scan(shown["qr"])
    connected = await bare.until(lambda a: a.get("connected") == name)
    return shown["at"] - started["started"], connected["at"] - scanned
