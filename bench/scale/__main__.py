"""`make scale`: a thousand paired bots connect, idle, chat, lose their server, and stop.

`SCALE_BOTS` (default 10,100,1000), `SCALE_FOLDER` where the paired bots are kept, `SCALE_RTT` (0.15 s).
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import resource
import time
from pathlib import Path

from bench.scale.chat import inbound, outbound
from bench.scale.farm import Farm, bot_name, kept_folder
from bench.scale.relay import Relay
from bench.table import Figures

MEGABYTE = 1 << 20
SETTLE = 10.0
IDLE = 30.0
OUTAGE = 30.0
CHATTING = 100
COUNTS = [int(n) for n in os.environ.get("SCALE_BOTS", "10,100,1000").split(",")]
ROUND_TRIP = float(os.environ.get("SCALE_RTT", "0.15"))


def resident(pid: int) -> int:
    """Bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def processor(pid: int) -> float:
    """Seconds of processor time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Scale:
    """The measurements, one after the other on one farm."""

    def __init__(self, farm: Farm, folder: Path) -> None:
        self._farm = farm
        self._folder = folder
        self.figures = Figures()
        self._empty = 0

    async def run(self) -> None:
        """All of them."""
        await self._farm.daemon.start()
        await self._farm.pair(max(COUNTS))
        await self._nothing()
        for count in COUNTS:
            await self._connect(count)
        await self._outage(COUNTS[-1])
        await self._chat()
        await self._stop(COUNTS[-1])
        await self._slow(COUNTS[-1])

    async def _nothing(self) -> None:
        await self._farm.want(0)
        await self._farm.daemon.stop()
        await self._farm.daemon.start()
        await asyncio.sleep(SETTLE)
        self._empty = resident(self._farm.daemon.program.pid)
        self.figures.add("RSS without a bot", self._empty / MEGABYTE, "MB")

    async def _connect(self, count: int) -> None:
        daemon, names = self._farm.daemon, [bot_name(number) for number in range(count)]
        await self._farm.want(count)
        await daemon.stop()
        began = time.monotonic()
        await daemon.start()
        await self._farm.until_connected(names)
        self.figures.add(f"{count} bots connected after a restart", time.monotonic() - began, "s", "1000: < 30")
        await asyncio.sleep(SETTLE)
        pid = daemon.program.pid
        before = processor(pid)
        await asyncio.sleep(IDLE)
        self.figures.add(f"processor, {count} idle bots", (processor(pid) - before) / IDLE * 100, "%", "1000: < 20")
        size = resident(pid)
        self.figures.add(f"RSS with {count} idle bots", size / MEGABYTE, "MB", "1000: < 2200")
        self.figures.add(f"memory per idle bot, of {count}", (size - self._empty) / count / MEGABYTE, "MB", "< 2")

    async def _outage(self, count: int) -> None:
        names = {bot_name(number) for number in range(count)}
        await self._farm.sandbox.stop()
        await asyncio.sleep(OUTAGE)
        await self._farm.sandbox.start()
        began = time.monotonic()
        await self._farm.until_states(names, {"connected"})
        self.figures.add(
            f"{count} bots connected again after {OUTAGE:.0f} s without server", time.monotonic() - began, "s"
        )

    async def _chat(self) -> None:
        bots = min(CHATTING, COUNTS[-1])
        self.figures.add(f"messages out, {bots} bots", await outbound(self._farm, bots), "/s")
        self.figures.add(f"messages in, {bots} bots", await inbound(self._farm, bots), "/s")

    async def _stop(self, count: int) -> None:
        began = time.monotonic()
        code = await self._farm.daemon.stop()
        assert code == 0, code
        self.figures.add(f"SIGTERM with {count} bots", time.monotonic() - began, "s", "< 30")

    async def _slow(self, count: int) -> None:
        async with Relay(self._farm.sandbox.descriptor["proxy"], ROUND_TRIP) as relay:
            descriptor = self._folder / "slow.json"
            descriptor.write_text(json.dumps({**self._farm.sandbox.descriptor, "proxy": relay.url}))
            self._farm.daemon = self._farm.make_daemon(descriptor)
            began = time.monotonic()
            await self._farm.daemon.start()
            await self._farm.until_connected([bot_name(number) for number in range(count)])
            what = f"{count} bots connected after a restart, {ROUND_TRIP * 1000:.0f} ms away"
            self.figures.add(what, time.monotonic() - began, "s", "1000: < 120")
            began = time.monotonic()
            await self._farm.daemon.stop()
            self.figures.add("SIGTERM, as far away", time.monotonic() - began, "s", "< 30")


async def main(folder: Path) -> None:
    """Measure and print."""
    async with Farm(folder) as farm:
        scale = Scale(farm, folder)
        await scale.run()
    print("\n" + scale.figures.markdown())


if __name__ == "__main__":
    print(
        f"zapwire scale, {time.ctime()}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(main(kept_folder()))
