"""The transport alone in a process of its own, driven by JSON lines: Go wants its environment at the process' start.

`python -m tests.transport.driver DESCRIPTOR SESSIONS [MODULE.NAME=SECONDS ...]`; requests {"do", "bot", "nr", ...} on
stdin, on stdout {"nr", "result"|"error"} for each, and {"bot", "event", ...} for what the transports emit.
The master key is that in DRIVER_KEYS, or a fixed one; "plain" there means auth state in the clear.
MODULE.NAME=SECONDS shortens one of the deadlines in a module of `zapwire.transport.whatsapp_web`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.harness.builds import KNOWN
from zapwire.errors import ZapwireError
from zapwire.model import BotId, Outgoing
from zapwire.transport.whatsapp_web import WhatsAppWeb, bot, client_flags, ensure_environment
from zapwire.transport.whatsapp_web.log_lines import LogLine
from zapwire.transport.whatsapp_web.messages import jid_bytes
from zapwire.transport.whatsapp_web.protos import neonize
from zapwire.vault.keys import KeyRing


def say(**values: Any) -> None:
    print(json.dumps(values, default=lambda value: value.isoformat() if isinstance(value, datetime) else str(value)))
    sys.stdout.flush()


def describe(error: BaseException) -> dict[str, Any]:
    return {"error": type(error).__name__, "detail": str(error), "action": getattr(error, "action", None)}


class Driver:
    def __init__(self, transports: WhatsAppWeb) -> None:
        self._transports = transports
        self._bots: dict[str, bot.WhatsAppWebBot] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._requests: set[asyncio.Task[None]] = set()

    def bot(self, name: str) -> bot.WhatsAppWebBot:
        if name not in self._bots:
            self._bots[name] = self._transports(BotId(name))
        return self._bots[name]

    async def start(self, bot: str) -> None:
        async def emit(event: Any) -> None:
            say(bot=bot, event=type(event).__name__, **dataclasses.asdict(event))

        async def run() -> None:
            try:
                await self.bot(bot).run(emit)
            except ZapwireError as error:
                say(bot=bot, event="ended", **describe(error))

        self._tasks[bot] = asyncio.create_task(run())

    async def stop(self, bot: str) -> None:
        self._tasks[bot].cancel()
        await asyncio.wait([self._tasks[bot]])

    async def send(self, bot: str, to: str, text: str) -> Any:
        return dataclasses.asdict(await self.bot(bot).send(Outgoing(to, "text", {"text": text})))

    async def probe(self, bot: str) -> None:
        await self.bot(bot).probe()

    async def code(self, bot: str, phone: str) -> Any:
        return (await self.bot(bot).pairing_code(phone)).code

    async def logout(self, bot: str) -> None:
        await self.bot(bot).logout()

    async def log_line(self, bot: str, text: str, level: str = "INFO") -> None:
        """Let the bot's connection hear a line as if the engine had written it."""
        self._transports._entered.sessions[BotId(bot)].on_log(LogLine("Client", level, text))

    async def flags(self, bot: str) -> Any:
        """What is switched on in the engine's memory; None when this build is not known."""
        table = self._transports._entered.engine.library.table
        return None if table is None else sorted(client_flags.switched_on(table, bot.encode()))

    async def other_name(self, bot: str, user: str) -> str:
        """What the engine's store knows of a phone number."""
        bot_, library = self.bot(bot), self._transports._entered.engine.library
        answer = await bot_._session.look_up(library.lid_of_phone, jid_bytes(user, "s.whatsapp.net"))
        return str(neonize.GetJIDFromStoreReturnFunction.FromString(answer).Jid.User)

    async def answer(self, request: dict[str, Any]) -> None:
        number, do = request.pop("nr"), request.pop("do")
        try:
            say(nr=number, result=await getattr(self, do)(**request))
        except (ZapwireError, TimeoutError) as error:
            say(nr=number, **describe(error))

    def take(self, line: str) -> None:
        task = asyncio.create_task(self.answer(json.loads(line)))
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)


async def main(descriptor: Path, sessions: Path) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    text = os.environ.get("DRIVER_KEYS", "5e" * 32)
    keys = None if text == "plain" else KeyRing.parse(text.encode())
    pairings = int(os.environ.get("DRIVER_MAX_PAIRINGS", "20"))
    async with WhatsAppWeb(sessions, descriptor, pairings, keys=keys, known_builds=KNOWN) as transports:
        driver = Driver(transports)
        say(event="ready")
        async for line in lines:
            driver.take(line.decode())
        for name in driver._tasks:
            await driver.stop(name)


if __name__ == "__main__":
    ensure_environment(Path(sys.argv[1]))
    logging.basicConfig(level=os.environ.get("DRIVER_LOG", "WARNING"))
    for option in sys.argv[3:]:
        name, _, seconds = option.partition("=")
        module, _, constant = name.partition(".")
        setattr(importlib.import_module(f"zapwire.transport.whatsapp_web.{module}"), constant, float(seconds))
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2])))
