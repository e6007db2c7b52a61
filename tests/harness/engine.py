"""Bare neonize as a subprocess: jobs and answers are JSON lines.

SSL_CERT_FILE and HTTPS_PROXY have to be there before the process begins, and the engine prints to stdout: hence a
process and a descriptor of its own. The program inside uses `tests.harness.engine_side`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self


class EngineProcess:
    """Runs `python -m MODULE ARGUMENT` against the sandbox of this descriptor; `seen` holds its answers."""

    def __init__(self, folder: Path, descriptor: dict[str, str], module: str, argument: Path) -> None:
        self._folder = folder
        self._descriptor = descriptor
        self._command = [sys.executable, "-m", module, str(argument)]
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
                *self._command,
                env=environment,
                cwd=Path(__file__).parents[2],
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=(write_end,),
            )
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

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _read(self) -> None:
        async for line in self._answers:
            async with self._news:
                self.seen.append(json.loads(line))
                self._news.notify_all()

    async def order(self, **job: Any) -> None:
        """Hand over a job; its answers come when they come."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        await self._process.stdin.drain()

    async def until(self, wanted: Callable[[dict[str, Any]], Any], within: float = 60) -> dict[str, Any]:
        """The first answer so far or from now on for which *wanted* is true."""

        def found() -> dict[str, Any] | None:
            return next((answer for answer in self.seen if wanted(answer)), None)

        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(lambda: found() is not None)
        except TimeoutError:
            raise AssertionError(f"not within {within} s; seen: {self.seen[-20:]}") from None
        answer = found()
        assert answer is not None
        return answer

    async def until_count(self, key: str, count: int, within: float = 120) -> None:
        """Wait for this many answers that carry *key*."""
        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: len(self.all(key)) >= count)

    def all(self, key: str) -> list[dict[str, Any]]:
        return [answer for answer in self.seen if key in answer]
