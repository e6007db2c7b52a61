"""Runs `bench.scale.churn` against a sandbox, on loopback or over a slow way (`CHURN_RTT`, seconds)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from pathlib import Path

from bench.scale.farm import Farm
from bench.scale.relay import Relay

BOTS = int(os.environ.get("CHURN_BOTS", "24"))
CYCLES = int(os.environ.get("CHURN_CYCLES", "2100"))
ROUND_TRIP = float(os.environ.get("CHURN_RTT", "0"))


async def main(folder: Path) -> int:
    async with Farm(folder) as farm:
        await farm.daemon.start()
        await farm.pair(BOTS)
        await farm.daemon.stop()
        async with Relay(farm.sandbox.descriptor["proxy"], ROUND_TRIP) as relay:
            descriptor = farm.sandbox.descriptor_file
            if ROUND_TRIP:
                descriptor = folder / "slow.json"
                descriptor.write_text(json.dumps({**farm.sandbox.descriptor, "proxy": relay.url}))
            sessions = folder / "daemon" / "sessions" / "bots"
            arguments = [str(descriptor), str(sessions), str(BOTS), str(CYCLES)]
            process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.scale.churn", *arguments)
            return await process.wait()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="zapwire-churn-") as name:
        sys.exit(asyncio.run(main(Path(name))))
