"""A slow way: a TCP relay on loopback that hands everything on after a delay, as a long line would."""

from __future__ import annotations

import asyncio
from typing import Self
from urllib.parse import urlsplit

from zapwire.sandbox.server.network.connect_proxy import both_ways

CHUNK = 64 * 1024


class Relay:
    """Leads to *target* (a URL with host and port); each direction takes half of *round_trip* seconds."""

    def __init__(self, target: str, round_trip: float) -> None:
        parts = urlsplit(target)
        self._target = (parts.hostname, parts.port)
        self._delay = round_trip / 2
        self._round_trip = round_trip
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(self._round_trip)  # TCP's own handshake
            await both_ways((reader, writer), await asyncio.open_connection(*self._target), self._carry)
        finally:
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while data := await reader.read(CHUNK):
            loop.call_later(self._delay, writer.write, data)
        await asyncio.sleep(self._delay)
