"""The real engine (bare neonize, none of ours round it) as a subprocess: jobs and answers are JSON lines.

SSL_CERT_FILE and HTTPS_PROXY have to be there before the process begins, and the engine prints to stdout: hence a
process and a descriptor of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

PROGRAM = Path(__file__).with_name("engine_program.py")


class Engine:
    """Bare neonize with one client, against the sandbox of this descriptor."""

    def __init__(self, folder: Path, descriptor: dict[str, str]) -> None:
        self._folder = folder
        self._descriptor = descriptor
        self.seen: list[dict[str, Any]] = []
        self._news = asyncio.Condition()

    async def __aenter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        read_end, write_end = os.pipe()
        environment = {
            **os.environ,
            "SSL_CERT_FILE": self._descriptor["ca"],
            "HTTPS_PROXY": self._descriptor["proxy"],
            "ENGINE_ROOT": self._descriptor["noise_root"],
            "ENGINE_ANSWERS": str(write_end),
        }
        with (self._folder / "engine.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, str(PROGRAM), str(self._folder / "client.db"),
                env=environment, stdin=asyncio.subprocess.PIPE, stdout=log, stderr=log, pass_fds=(write_end,),
            )  # fmt: skip
        os.close(write_end)
        self._answers = asyncio.StreamReader(limit=1 << 20)
        self._pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._answers), os.fdopen(read_end, "rb")
        )
        self._reader = asyncio.create_task(self._read(), name="answers of the engine")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()
        await self._reader
        self._pipe.close()

    async def _read(self) -> None:
        async for line in self._answers:
            async with self._news:
                self.seen.append(json.loads(line))
                self._news.notify_all()

    async def tell(self, do: str, **job: Any) -> Any:
        """Have something done and return its result."""
        assert self._process.stdin is not None
        number = sum("job" in answer for answer in self.seen)
        self._process.stdin.write(json.dumps({"do": do, "job": number, **job}).encode() + b"\n")
        answer = await self.until(lambda a: a.get("job") == number)
        assert "error" not in answer, answer
        return answer["result"]

    async def until(self, wanted: Callable[[dict[str, Any]], Any], within: float = 30) -> dict[str, Any]:
        """The first answer so far or from now on for which *wanted* is true."""

        def found() -> dict[str, Any] | None:
            return next((answer for answer in self.seen if wanted(answer)), None)

        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(lambda: found() is not None)
        except TimeoutError:
            raise AssertionError(f"the engine said only {self.seen}") from None
        answer = found()
        assert answer is not None
        return answer

    async def qr(self) -> str:
        return str((await self.until(lambda a: "qr" in a))["qr"])

    async def text(self, text: str) -> dict[str, Any]:
        """The message with this text."""
        return await self.until(lambda a: a.get("message") == text)
