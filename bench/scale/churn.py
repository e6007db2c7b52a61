"""Stress of the engine's client table: starts and stops of many clients, and calls beside them.

A mistake in `gate.py` ends this process with Go's "fatal error: concurrent map writes". Run as a module by
`bench.scale.churn_run` with the environment that the engine wants; prints one JSON line.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

from bench.scale.farm import bot_name
from zapwire.model.bots import BotId
from zapwire.model.errors import TransportError
from zapwire.transport.whatsapp_web.factory import WhatsAppWeb
from zapwire.transport.whatsapp_web.network.server_override import ensure_environment
from zapwire.transport.whatsapp_web.transport import WhatsAppWebTransport
from zapwire.vault import sources


class Churn:
    """Keeps on starting and stopping its bots until they have done that often enough."""

    def __init__(self, transports: WhatsAppWeb, cycles: int) -> None:
        self._transports = transports
        self._left = cycles
        self.cycles = self.calls = self.refused = 0
        self._running: set[WhatsAppWebTransport] = set()

    async def turn(self, name: str) -> None:
        bot = self._transports(BotId(name))
        while self._left > 0:
            self._left -= 1
            connected = asyncio.Event()

            async def emit(event: Any, connected: asyncio.Event = connected) -> None:
                if type(event).__name__ == "Connected":
                    connected.set()

            task = asyncio.create_task(bot.run(emit))
            waiting = asyncio.create_task(connected.wait())
            await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
            self._running.add(bot)
            await asyncio.sleep(0.02 * (self._left % 4))
            self._running.discard(bot)
            task.cancel()
            waiting.cancel()
            await asyncio.wait([task, waiting])
            self.cycles += 1

    async def call(self) -> None:
        """Calls of any bot that runs, one after the other."""
        while self._left > 0:
            for bot in list(self._running):
                session = bot._session  # noqa: SLF001 - below what the transport offers is where it breaks
                if session is None:
                    continue
                try:
                    await session.look_up(self._transports._entered.engine.library.is_connected)  # noqa: SLF001
                    self.calls += 1
                except (TransportError, TimeoutError):
                    self.refused += 1
            await asyncio.sleep(0.001)


async def main(descriptor: Path, sessions: Path, bots: int, cycles: int) -> None:
    started = time.monotonic()
    source = sources.find(sessions.parent)
    async with WhatsAppWeb(sessions, descriptor, keys=source.keys if source is not None else None) as transports:
        churn = Churn(transports, cycles)
        callers = [asyncio.create_task(churn.call()) for _ in range(4)]
        await asyncio.gather(*(churn.turn(bot_name(number)) for number in range(bots)), *callers)
        gate = transports._entered.engine.gate  # noqa: SLF001 - a figure
        seconds = time.monotonic() - started
        answer = {
            "cycles": churn.cycles,
            "calls": churn.calls,
            "seconds": round(seconds, 1),
            "seconds_at_the_gate": round(gate.waited, 1),
            "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - only counted
        }
    sys.stderr.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    ensure_environment(Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
