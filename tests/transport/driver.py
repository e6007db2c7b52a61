"""The transport alone in a process of its own, driven by JSON lines: Go wants its environment at the process' start.

`python -m tests.transport.driver DESCRIPTOR SESSIONS [MODULE.NAME=SECONDS ...]`; requests {"do", "bot", "nr", ...} on
stdin, on stdout {"nr", "result"|"error"} for each, and {"bot", "event", ...} for what the transports emit.
DRIVER_PAIRING says who pairs (auto), DRIVER_VERSION which version is announced (engine).
The master key is that in DRIVER_KEYS, or a fixed one; "plain" there means auth state in the clear.
MODULE.NAME=SECONDS shortens one of the deadlines in a module of `zapwire.transport.whatsapp_web`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.harness.builds import KNOWN
from tests.harness.driving import Driver
from zapwire.model.bots import BotId
from zapwire.transport.whatsapp_web import WhatsAppWeb, ensure_environment
from zapwire.transport.whatsapp_web.engine.log_lines import LogLine
from zapwire.transport.whatsapp_web.engine.private import client_flags
from zapwire.vault.keys import KeyRing


def say(**values: Any) -> None:
    print(json.dumps(values, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value)))
    sys.stdout.flush()


class EngineDriver(Driver):
    """What only tests of the engine ask."""

    _transports: WhatsAppWeb

    async def log_line(self, bot: str, text: str, level: str = "INFO") -> None:
        """Let the bot's connection hear a line as if the engine had written it."""
        self._transports._entered.sessions[BotId(bot)].on_log(LogLine("Client", level, text))

    async def flags(self, bot: str) -> Any:
        """What is switched on in the engine's memory; None when this build is not known."""
        table = self._transports._entered.engine.library.table
        return None if table is None else sorted(client_flags.switched_on(table, bot.encode()))

    async def version(self, bot: str) -> Any:
        """Which version is announced, and what is known of the newest."""
        figures = self._transports.figures().version
        return {"announced": figures.announced, "newest": figures.newest, "problem": figures.problem}

    async def other_name(self, bot: str, user: str) -> str:
        """What the engine's store knows of a phone number."""
        return await self.bot(bot)._session.lid_of_phone(user) or ""


async def main(descriptor: Path, sessions: Path) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    text = os.environ.get("DRIVER_KEYS", "5e" * 32)
    keys = None if text == "plain" else KeyRing.parse(text.encode())
    pairings = int(os.environ.get("DRIVER_MAX_PAIRINGS", "20"))
    way: Any = os.environ.get("DRIVER_PAIRING", "auto")
    wanted = os.environ.get("DRIVER_VERSION", "engine")
    version: Any = int(wanted) if wanted.isdecimal() else wanted
    async with WhatsAppWeb(
        sessions,
        descriptor,
        pairings,
        keys=keys,
        known_builds=KNOWN,
        pairing=way,
        version=version,
        sees_time_locks="DRIVER_SEES_TIME_LOCKS" in os.environ,
    ) as transports:
        driver = EngineDriver(transports, say)
        say(event="ready")
        async for line in lines:
            driver.take(json.loads(line))
        await driver.close()


if __name__ == "__main__":
    ensure_environment(Path(sys.argv[1]))
    logging.basicConfig(level=os.environ.get("DRIVER_LOG", "WARNING"))
    for option in sys.argv[3:]:
        name, _, seconds = option.partition("=")
        module, _, constant = name.rpartition(".")
        place = importlib.import_module(f"zapwire.transport.whatsapp_web.{module}")
        assert hasattr(place, constant), f"{module} has no {constant}"
        setattr(place, constant, float(seconds))
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
