"""Both transports behind the same words: the scripted one of the tests, and the real engine against the sandbox."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import pytest_asyncio

from tests.harness.driving import Driver
from tests.harness.fixtures import show_logs_on_failure
from tests.harness.sandbox import Phone, Sandbox
from tests.harness.scripted import ScriptedTransports
from tests.transport.driven import Bot, Driven, Failed

__all__ = ["show_logs_on_failure"]

BOT = "4915510000001"
ANNA = "4915510000002"


class Network(Protocol):
    """WhatsApp, as far as a test moves it."""

    @property
    def number(self) -> str:
        """Digits of the account that `scan` links the bot to."""

    async def scan(self, code: str) -> None:
        """The account's phone scans the QR code."""

    async def say(self, text: str) -> None:
        """Somebody writes to the bot."""

    async def close(self) -> None:
        """There is no way to WhatsApp any more."""

    async def open(self) -> None:
        """There is a way again."""

    async def mute(self) -> None:
        """WhatsApp answers nothing any more on the connection that there is."""


class Local:
    """`Driven`, with the scripted transports of this process."""

    def __init__(self, transports: ScriptedTransports) -> None:
        self._driver = Driver(transports, self._said)
        self._bots: dict[str, Bot] = {}
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = defaultdict(asyncio.get_running_loop().create_future)

    def bot(self, name: str) -> Bot:
        return self._bots.setdefault(name, Bot(self, name))  # type: ignore[arg-type]

    async def ask(self, do: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        self._driver.take({"do": do, "nr": number, **arguments})
        async with asyncio.timeout(10):
            answer = await self._answers[number]
        if "error" in answer:
            raise Failed(answer)
        return answer["result"]

    def _said(self, **message: Any) -> None:
        if "nr" in message:
            self._answers[message["nr"]].set_result(message)
        else:
            self.bot(message["bot"]).events.put_nowait(message)

    async def end(self) -> None:
        await self._driver.close()


class ScriptedNetwork:
    number = "4915100000001"

    def __init__(self, transports: ScriptedTransports) -> None:
        self._transports = transports
        self._count = itertools.count(1)

    async def scan(self, code: str) -> None:
        for transport in self._transports.made.values():
            transport.scan()

    async def say(self, text: str) -> None:
        [transport] = self._transports.made.values()
        await transport.receive(text, next(self._count))

    async def close(self) -> None:
        self._set(reachable=False)

    async def open(self) -> None:
        self._set(reachable=True)

    async def mute(self) -> None:
        self._set(reachable=False, answer=lambda _: asyncio.Event().wait())

    def _set(self, **fields: Any) -> None:
        for transport in self._transports.made.values():
            for name, value in fields.items():
                setattr(transport, name, value)


class SandboxNetwork:
    number = BOT

    def __init__(self, sandbox: Sandbox, phone: Phone, anna: Phone) -> None:
        self._sandbox, self._phone, self._anna = sandbox, phone, anna

    async def scan(self, code: str) -> None:
        await self._phone.scan(code)

    async def say(self, text: str) -> None:
        await self._anna.send(BOT, text)

    async def close(self) -> None:
        await self._fault("refuse")

    async def open(self) -> None:
        await self._fault("clear")

    async def mute(self) -> None:
        await self._fault("freeze")

    async def _fault(self, kind: str) -> None:
        await self._sandbox.call("POST", "/faults", {"kind": kind})


class World:
    def __init__(self, driver: Driven | Local, network: Network) -> None:
        self.driver = driver
        self.bot = driver.bot("bot-one")
        self.network = network

    async def pair(self) -> None:
        await self.bot("start")
        await self.network.scan((await self.bot.until("QrCode"))["code"])
        await self.bot.until("Connected")


@pytest_asyncio.fixture(params=["scripted", "scripted, stops slowly", "engine", "own client"])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    if request.param.startswith("scripted"):
        transports = ScriptedTransports(pairs=True)
        transports.manners = {"stop_turns": 500 if "slowly" in request.param else 1}
        local = Local(transports)
        yield World(local, ScriptedNetwork(transports))
        await local.end()
        return
    (folder := tmp_path / "sandbox").mkdir()
    deadlines = ("transport.SEND_DEADLINE=1", "health_probe.PROBE_DEADLINE=1", "transport.LOGOUT_DEADLINE=2")
    env = {"DRIVER_PAIRING": "own" if request.param == "own client" else "engine"}
    async with Sandbox(folder) as sandbox, Driven(tmp_path, sandbox.descriptor_file, *deadlines, env=env) as driver:
        phone, anna = await sandbox.phone(BOT), await sandbox.phone(ANNA)
        yield World(driver, SandboxNetwork(sandbox, phone, anna))
