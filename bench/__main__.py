"""`make bench`: the daemon and bare neonize against the same sandbox, one after the other, in one run.

At the end side by side with neonize under WAL and with a small Baileys server: `bench.compare`, also by itself.
"""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
import time
from pathlib import Path

from bench.compare import __main__ as compare
from bench.engine import BareEngine
from bench.measure import (
    conversions,
    history,
    inbound,
    isolation,
    journal,
    live,
    media,
    memory,
    pairing,
    pairing_ways,
    sealing,
    sending,
    webhooks,
)
from bench.table import Figures, Table
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox


async def measure(folder: Path) -> list[Table | Figures]:
    table, seals, events, hooks = Table(), Table(columns=sealing.KINDS), Figures(), Figures()
    files = Figures()
    ways = Table(columns=pairing_ways.COLUMNS)
    others = Table(columns=("one in ten sick", "all well"))
    sandbox_folder, daemon_folder = folder / "sandbox", folder / "daemon"
    sandbox_folder.mkdir()
    daemon_folder.mkdir()
    await conversions.measure(files)
    await journal.measure(events, folder)
    await history.measure(events, folder)
    await live.measure(events, folder)
    await webhooks.measure(hooks, folder)
    async with Sandbox(sandbox_folder) as sandbox:
        async with (
            Daemon(daemon_folder, sandbox.descriptor_file) as daemon,
            BareEngine(folder / "bare", sandbox.descriptor) as bare,
        ):
            await pairing.measure(table, sandbox, daemon, bare)
            await sending.measure(table, sandbox, daemon, bare)
            await inbound.measure(table, sandbox, daemon, bare)
            await media.measure(table, files, daemon, bare)
        await pairing_ways.measure(ways, folder / "pairing", sandbox)
        await isolation.measure(others, folder / "isolation", sandbox)
        await sealing.measure(seals, folder / "sealing", sandbox)
        await memory.measure(
            table, folder, sandbox, [int(n) for n in os.environ.get("BENCH_BOTS", "1,10,50").split(",")]
        )
    return [table, ways, others, seals, events, hooks, files]


def main() -> None:
    print(
        f"zapwire bench, {time.strftime('%Y-%m-%d %H:%M')}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory(prefix="zapwire-bench-") as folder:
        tables = asyncio.run(measure(Path(folder)))
    for table in tables:
        print("\n" + table.markdown())
    with tempfile.TemporaryDirectory(prefix="zapwire-compare-") as folder:
        print("\n" + compare.markdown(asyncio.run(compare.compare(Path(folder), []))))


if __name__ == "__main__":
    main()
