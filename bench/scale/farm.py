"""A sandbox and a daemon with many paired bots; pairing a thousand takes minutes, so they are kept for the next run."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any, Self

from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

PAIRED_AT_ONCE = 12


def bot_name(number: int) -> str:
    return f"farm-{number:04}"


def bot_number(number: int) -> str:
    """The account's phone number."""
    return f"49152{number:08}"


def kept_folder() -> Path:
    """Where the bots are kept between two runs (`SCALE_FOLDER`)."""
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "zapwire-scale"
    return Path(os.environ.get("SCALE_FOLDER", default))


class Farm:
    """`async with Farm(folder) as farm`: the sandbox runs; the daemon is started and stopped by whoever measures."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("sandbox", "daemon"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self.sandbox = Sandbox(folder / "sandbox")
        self.daemon: Daemon

    async def __aenter__(self) -> Self:
        await self.sandbox.start()
        self.daemon = self.make_daemon(self.sandbox.descriptor_file)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.daemon.stop()
        await self.sandbox.stop()

    def make_daemon(self, descriptor: Path, **env: str) -> Daemon:
        """A daemon on the farm's folder that uses the server of *descriptor*; only one may run."""
        settings = {"ZAPWIRE_STOP_TIMEOUT": "60", "ZAPWIRE_MAX_PAIRINGS": str(PAIRED_AT_ONCE)}
        return Daemon(self._folder / "daemon", descriptor, **{**settings, **env})

    async def pair(self, count: int) -> None:
        """Pair those of the first *count* bots that are not paired yet; the daemon runs."""
        bots = {bot["id"]: bot for bot in (await self.daemon.call("GET", "/v1/bots"))["bots"]}
        missing = [n for n in range(count) if (bots.get(bot_name(n)) or {"phone": None})["phone"] is None]
        room, done = asyncio.Semaphore(PAIRED_AT_ONCE), 0

        async def one(number: int) -> None:
            nonlocal done
            async with room:
                name = bot_name(number)
                phone = await self.sandbox.phone(bot_number(number))
                if name not in bots:
                    await self.daemon.call("POST", "/v1/bots", {"id": name, "autostart": False})
                await self.daemon.call("POST", f"/v1/bots/{name}/connect")
                await phone.scan(await self.daemon.qr(name))
                await self.until_connected([name])
                await self.daemon.call("POST", f"/v1/bots/{name}/disconnect")
                done += 1
                if done % 50 == 0:
                    print(f"paired {done} of {len(missing)}", flush=True)

        await asyncio.gather(*(one(number) for number in missing))

    async def want(self, count: int) -> None:
        """Let the first *count* bots be connected after the daemon's next start, and no others; the daemon runs."""
        for bot in (await self.daemon.call("GET", "/v1/bots"))["bots"]:
            wanted = bot["id"] < bot_name(count)
            if bot["autostart"] is not wanted:
                await self.daemon.call("PATCH", f"/v1/bots/{bot['id']}", {"autostart": wanted})
            elif wanted:  # what the last disconnect said is forgotten
                await self.daemon.call("PATCH", f"/v1/bots/{bot['id']}", {"autostart": True})

    async def until_connected(self, names: list[str], within: float = 300) -> None:
        """Wait until all of them are connected."""
        await self.until_states(set(names), {"connected"}, within)

    async def until_states(self, names: set[str], states: set[str], within: float = 300) -> None:
        """Wait until each of the bots is in one of the states."""
        left = set(names)

        def settle(bot: dict[str, Any]) -> None:
            if bot["state"] in states:
                left.discard(bot["id"])
            elif bot["id"] in names:
                left.add(bot["id"])

        async with self.daemon.events("bot.state") as events:
            for bot in (await self.daemon.call("GET", "/v1/bots"))["bots"]:
                settle(bot)
            async with asyncio.timeout(within):
                while left:
                    settle((await events.next(within))["data"])
