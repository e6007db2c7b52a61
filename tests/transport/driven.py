"""The test's end of `driver`: bots as objects, their events as queues."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Self

from zapwire.transport.whatsapp_web.network import server_override


class Ended(Exception):
    """A bot's `run` raised."""

    def __init__(self, event: dict[str, Any]) -> None:
        super().__init__(f"{event['error']}: {event['detail']}")
        self.kind = event["error"]
        self.detail = event["detail"]
        self.action = event["action"]
        self.condition = event["condition"]


class Bot:
    def __init__(self, driver: Driven, name: str) -> None:
        self.name = name
        self.events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._driver = driver

    async def __call__(self, do: str, **arguments: Any) -> Any:
        return await self._driver.ask(do, bot=self.name, **arguments)

    async def next(self) -> dict[str, Any]:
        """The next event but offers of history, which a phone makes whenever it likes."""
        while (event := await self.events.get())["event"] == "HistoryOffered":
            pass
        return event

    async def until(self, kind: str, within: float = 30) -> dict[str, Any]:
        """The next event of this kind; others before it are dropped. Raises `Ended` when `run` ends first."""
        async with asyncio.timeout(within):
            while True:
                event = await self.events.get()
                if event["event"] == kind:
                    return event
                if event["event"] == "ended":
                    raise Ended(event)

    async def ending(self, within: float = 30) -> Ended:
        return Ended(await self.until("ended", within))


class Failed(Exception):
    """A request was answered with an error."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(f"{answer['error']}: {answer['detail']}")
        self.kind = answer["error"]
        self.detail = answer["detail"]


class Driven:
    """`async with Driven(...) as driver: bot = driver.bot("one")`."""

    def __init__(
        self,
        folder: Path,
        descriptor: Path,
        *deadlines: str,
        env: dict[str, str] | None = None,
        program: str = "tests.transport.driver",
    ) -> None:
        self._program = program
        self.sessions = folder / "sessions"
        self._log = folder / "driver.log"
        self._arguments = [str(descriptor), str(self.sessions), *deadlines]
        # The environment that the driver would execute itself again for: that costs half a second each time.
        override = server_override.read_descriptor(descriptor)
        marker = json.dumps(override.environment({}), sort_keys=True)
        self._env = {**override.environment(os.environ), server_override._MARKER: marker, **(env or {})}
        self._bots: dict[str, Bot] = {}
        self._numbers = itertools.count()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = defaultdict(asyncio.get_running_loop().create_future)

    def bot(self, name: str) -> Bot:
        return self._bots.setdefault(name, Bot(self, name))

    def log_text(self) -> str:
        """What the program has logged; with DRIVER_LOG=DEBUG also every line of the engine's."""
        return self._log.read_text(errors="replace")

    async def ask(self, do: str, **arguments: Any) -> Any:
        number = next(self._numbers)
        self.process.stdin.write(json.dumps({"do": do, "nr": number, **arguments}).encode() + b"\n")
        async with asyncio.timeout(60):
            answer = await self._answers[number]
        if "error" in answer:
            raise Failed(answer)
        return answer["result"]

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._program, *self._arguments,
                stdin=-1, stdout=-1, stderr=log, limit=1 << 20, env=self._env,
            )  # fmt: skip
        ready = json.loads(await self.process.stdout.readline() or "null")
        assert ready == {"event": "ready"}, self._log.read_text()
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.process.stdin.close()
        try:
            async with asyncio.timeout(15):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise
        finally:
            await self._reader

    async def _read(self) -> None:
        async for line in self.process.stdout:
            message = json.loads(line)
            if "nr" in message:
                answer = self._answers[message["nr"]]
                if not answer.cancelled():  # whoever asked no longer waits
                    answer.set_result(message)
            else:
                self.bot(message["bot"]).events.put_nowait(message)
