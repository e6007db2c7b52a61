"""A program of ours as a subprocess: its output is kept, and read line by line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path


class Program:
    """Runs `python -m MODULE ARGS`; everything it prints goes to *log* too."""

    def __init__(self, log: Path, module: str, *args: str, env: dict[str, str] | None = None) -> None:
        self._log = log
        self._command = [sys.executable, "-m", module, *args]
        # What the daemon would execute itself again for: that costs a quarter of a second each time.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("ZAPWIRE_")}
        self._env = {"NEONIZE_BOT_TAG": "off", **inherited, **(env or {})}
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._lines: list[str] = []
        self._news = asyncio.Condition()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> list[str]:
        return self._lines

    async def start(self) -> None:
        self._lines.clear()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=self._env,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                limit=1 << 20,
            )
        self._reader = asyncio.create_task(self._read(), name=f"output of {self._command[2]}")

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            text = line.decode(errors="replace").rstrip("\n")
            async with self._news:
                self._lines.append(text)
                self._news.notify_all()
        async with self._news:
            self._lines.append("<end of output>")
            self._news.notify_all()

    async def line(self, containing: str, within: float = 30) -> str:
        """The first line printed since the start that contains this text."""

        def found() -> str | None:
            return next((line for line in self._lines if containing in line), None)

        async with asyncio.timeout(within), self._news:
            await self._news.wait_for(lambda: found() or "<end of output>" in self._lines)
        line = found()
        if line is None:
            raise AssertionError(
                f"{self._command} ended without saying {containing!r}:\n" + self._log.read_text()[-5000:]
            )
        return line

    def interrupt(self, number: signal.Signals) -> None:
        """Send the program a signal."""
        os.kill(self.pid, number)

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def stop(self, how: signal.Signals = signal.SIGTERM, within: float = 30) -> int:
        """Send the signal and wait for the end; returns the exit code. No error when it has ended before."""
        if self._process is None:
            return 0
        with suppress(ProcessLookupError):
            self._process.send_signal(how)
        try:
            async with asyncio.timeout(within):
                code = await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
            raise AssertionError(f"{self._command} did not end within {within} s of {how.name}") from None
        finally:
            if self._reader is not None:
                await self._reader
        self._process = None
        return code
