"""Writes of the state file: one after the other, also when one is given up."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from zapwire.sandbox.server import state_file
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.world import World


async def test_a_write_that_is_given_up_ends_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, begun, go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()
    order: list[str] = []
    real = state_file._write

    def slow(*arguments: object) -> None:
        order.append("begin")
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(10)
        real(*arguments)
        order.append("end")

    async with SandboxServer(World(), state=tmp_path / "state.json") as server:
        monkeypatch.setattr(state_file, "_write", slow)
        first = asyncio.create_task(server.state.write())
        await begun.wait()
        first.cancel()
        second = asyncio.create_task(server.state.write())
        await asyncio.sleep(0)
        go_on.set()
        await asyncio.gather(first, second, return_exceptions=True)
    assert order[:4] == ["begin", "end", "begin", "end"]
