"""What the container's image runs beside the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

from tests.harness.daemon import Daemon

HEALTH = Path(__file__).parents[2] / "tools" / "health"


async def health(url: str) -> int:
    process = await asyncio.create_subprocess_exec(
        str(HEALTH), env={**os.environ, "ZAPWIRE_LISTEN": url.replace("http://127.0.0.1", "0.0.0.0")},
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    return await process.wait()


async def test_health_is_the_daemons_answer_at_the_port_of_the_setting(tmp_path: Path) -> None:
    async with Daemon(tmp_path, ZAPWIRE_ALLOWED_HOSTS="bots.example") as daemon:
        assert await health(daemon.url) == 0
        daemon.program.interrupt(signal.SIGSTOP)
        try:
            assert await health(daemon.url) != 0
        finally:
            daemon.program.interrupt(signal.SIGCONT)
        url = daemon.url
    assert await health(url) != 0
