"""The inside of an engine process (`tests.harness.engine`): import this before neonize."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import time
import types
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# neonize's client imports python-magic for media types; a fresh machine has no libmagic
sys.modules.setdefault("magic", types.ModuleType("magic"))

PINNED_ROOT = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")


def answer(**values: Any) -> None:
    """Tell the process outside; carries the time of telling."""
    os.write(int(os.environ["ENGINE_ANSWERS"]), json.dumps({"at": time.time(), **values}).encode() + b"\n")


async def jobs() -> AsyncIterator[dict[str, Any]]:
    """The orders from outside."""
    lines = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        yield json.loads(line)


def run(work: Coroutine[Any, Any, None], threads: int) -> None:
    """Run with the sandbox's Noise root; neonize parks one of the default executor's *threads* per client."""
    _trust(bytes.fromhex(os.environ["ENGINE_ROOT"]))
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(ThreadPoolExecutor(threads))
        runner.run(work)


def _trust(root: bytes) -> None:
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split()
        if "neonize" in line and "rw" in fields[1]:
            low, high = (int(part, 16) for part in fields[0].split("-"))
            at = ctypes.string_at(low, high - low).find(PINNED_ROOT)
            if at >= 0:
                ctypes.memmove(low + at, root, 32)
