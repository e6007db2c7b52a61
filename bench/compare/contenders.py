"""What is compared: each pairs bots, sends a text when it is asked over its API, and tells what came in."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from bench.engine import BareEngine
from tests.harness.daemon import Daemon
from tests.harness.program import Program
from tests.harness.sandbox import Sandbox

BAILEYS: Final = Path(__file__).parents[1] / "baileys"
Seen = list[tuple[str, str, float]]
"""State or type, WhatsApp's id of the message, and when it was told (Unix seconds)."""


class Contender(ABC):
    """One server with its bots."""

    name: str
    prefix: str
    """Of its accounts' numbers."""
    pid: int

    def number(self, bot: int) -> str:
        """Of the account of a bot, in digits."""
        return f"{self.prefix}{bot:03}"

    def cpu(self) -> float:
        """Seconds of processor that its process has used so far, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @abstractmethod
    async def pair(self, sandbox: Sandbox, bot: int) -> None:
        """Make a bot, and let its account's phone scan the code."""

    @abstractmethod
    async def send(self, bot: int, to: str, texts: list[str], *, at_once: int) -> list[tuple[str, float]]:
        """Send these texts, *at_once* at a time; WhatsApp's id of each and when it was asked for."""

    @abstractmethod
    async def seen(self) -> Seen:
        """What it has told so far."""


class Receiver:
    """The process that takes webhooks."""

    def __init__(self, folder: Path) -> None:
        self._program = Program(folder / "receiver.log", "bench.compare.receiver")
        self._http: aiohttp.ClientSession
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        """While it runs."""
        await self._program.start()
        port = (await self._program.line("listening on")).split()[-1]
        self.url = f"http://127.0.0.1:{port}/hook"
        async with aiohttp.ClientSession() as self._http:
            yield self
        await self._program.stop()

    async def seen(self) -> Seen:
        """Everything that it got."""
        async with self._http.get(self.url.replace("/hook", "/seen?after=0")) as answer:
            return [(kind, ours, at) for kind, ours, at in json.loads(await answer.text())]


class Zapwire(Contender):
    """The daemon, with a webhook for everything."""

    name = "zapwire"
    prefix = "491511001"

    def __init__(self, daemon: Daemon, receiver: Receiver) -> None:
        self._daemon, self._receiver = daemon, receiver
        self.pid = daemon.program.pid

    async def pair(self, sandbox: Sandbox, bot: int) -> None:
        phone = await sandbox.phone(self.number(bot))
        await self._daemon.call("POST", "/v1/bots", {"id": f"bot-{bot}"})
        await phone.scan(await self._daemon.qr(f"bot-{bot}"))
        await self._daemon.until_state(f"bot-{bot}", "connected")
        if bot == 0:
            await self._daemon.call("POST", "/v1/webhooks", {"url": self._receiver.url, "events": ["message.*"]})

    async def send(self, bot: int, to: str, texts: list[str], *, at_once: int) -> list[tuple[str, float]]:
        async def one(text: str) -> tuple[str, float]:
            began = time.time()
            answer = await self._daemon.send(f"bot-{bot}", to, text, wait=30)
            assert answer["whatsapp_id"] is not None, answer
            return answer["whatsapp_id"], began

        return await _at_once(one, texts, at_once)

    async def seen(self) -> Seen:
        return await self._receiver.seen()


class Neonize(Contender):
    """neonize alone: asked over a pipe, and it tells what comes in from its callback."""

    prefix = "491511002"

    def __init__(self, engine: BareEngine, synchronous: str) -> None:
        self.name = f"neonize, {synchronous}"
        self.prefix = "491511002" if synchronous == "FULL" else "491511003"
        self._engine, self._synchronous = engine, synchronous
        self.pid = engine.pid

    async def pair(self, sandbox: Sandbox, bot: int) -> None:
        phone = await sandbox.phone(self.number(bot))
        options = f"_foreign_keys=on&_journal_mode=WAL&_synchronous={self._synchronous}&_busy_timeout=5000"
        await self._engine.tell(do="connect", name=f"bot-{bot}", options=options)
        shown = await self._engine.until(lambda a: a.get("name") == f"bot-{bot}" and "qr" in a)
        await phone.scan(shown["qr"])
        await self._engine.until(lambda a: a.get("connected") == f"bot-{bot}")

    async def send(self, bot: int, to: str, texts: list[str], *, at_once: int) -> list[tuple[str, float]]:
        before = {answer["sent"] for answer in self._engine.all("sent")}
        await self._engine.tell(do="send", names=[f"bot-{bot}"], to=to, count=len(texts), at_once=at_once)
        async with asyncio.timeout(300):
            await self._engine.until(lambda a: a.get("done") == [f"bot-{bot}", to, len(texts)])
        self._engine.seen = [a for a in self._engine.seen if a.get("done") != [f"bot-{bot}", to, len(texts)]]
        return [
            (a["sent"], a["started"]) for a in self._engine.all("sent") if a["sent"] not in before and a["to"] == to
        ]

    async def seen(self) -> Seen:
        return [("message.received", a["received"], a["at"]) for a in self._engine.all("received")]


class Baileys(Contender):
    """The small server in bench/baileys."""

    name = "Baileys server"
    prefix = "491511004"

    def __init__(self, http: aiohttp.ClientSession, pid: int, receiver: Receiver) -> None:
        self._http, self.pid, self._receiver = http, pid, receiver

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        async with self._http.request(method, path, json=body) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def pair(self, sandbox: Sandbox, bot: int) -> None:
        phone = await sandbox.phone(self.number(bot))
        await self._call("POST", f"/bots/bot-{bot}")
        async with asyncio.timeout(60):
            while not (code := (await self._call("GET", f"/bots/bot-{bot}")).get("qr")):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
            await phone.scan(code)
            while (await self._call("GET", f"/bots/bot-{bot}"))["state"] != "open":  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.1)

    async def send(self, bot: int, to: str, texts: list[str], *, at_once: int) -> list[tuple[str, float]]:
        async def one(text: str) -> tuple[str, float]:
            began = time.time()
            answer = await self._call("POST", f"/bots/bot-{bot}/messages", {"to": to, "text": text})
            return answer["whatsapp_id"], began

        return await _at_once(one, texts, at_once)

    async def seen(self) -> Seen:
        return await self._receiver.seen()


async def _at_once(one: Any, texts: list[str], most: int) -> list[tuple[str, float]]:
    rest = iter(texts)

    async def caller() -> list[tuple[str, float]]:
        return [await one(text) for text in rest]

    parts = await asyncio.gather(*(caller() for _ in range(most)))
    return [sent for part in parts for sent in part]


def node_is_there() -> bool:
    """Can the Baileys server run on this machine?"""
    return shutil.which("node") is not None and shutil.which("npm") is not None


@asynccontextmanager
async def zapwire(folder: Path, sandbox: Sandbox) -> AsyncIterator[Contender]:
    """The daemon and its receiver."""
    folder.mkdir()
    async with Receiver(folder).running() as receiver, Daemon(folder, sandbox.descriptor_file) as daemon:
        yield Zapwire(daemon, receiver)


@asynccontextmanager
async def neonize(folder: Path, sandbox: Sandbox, synchronous: str) -> AsyncIterator[Contender]:
    """neonize alone, its database under WAL and *synchronous*."""
    async with BareEngine(folder, sandbox.descriptor) as engine:
        yield Neonize(engine, synchronous)


@asynccontextmanager
async def baileys(folder: Path, sandbox: Sandbox) -> AsyncIterator[Contender]:
    """The Baileys server and its receiver; its npm packages are installed by their lock."""
    folder.mkdir()
    install = await asyncio.create_subprocess_exec("npm", "ci", "--ignore-scripts", "--silent", cwd=BAILEYS)
    assert await install.wait() == 0, "npm ci failed"
    async with Receiver(folder).running() as receiver:
        with (folder / "baileys.log").open("wb") as log:
            server = await asyncio.create_subprocess_exec(
                *("node", "server.mjs", str(sandbox.descriptor_file), str(folder), receiver.url),
                cwd=BAILEYS,
                env={**os.environ, "NODE_EXTRA_CA_CERTS": sandbox.descriptor["ca"], "NODE_ENV": "production"},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert server.stdout is not None
        port = (await server.stdout.readline()).split()[-1].decode()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield Baileys(http, server.pid, receiver)
        server.kill()
        await server.wait()
