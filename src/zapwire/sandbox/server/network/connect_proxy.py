"""A CONNECT proxy on loopback: WhatsApp's host names and the sandbox's own address lead there, all else is refused.

Clients that dial their usual server through it (HTTPS_PROXY) reach the sandbox without knowing.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from zapwire.sandbox.server.hosts import leads_to_sandbox

log = logging.getLogger(__name__)

_HEAD_SECONDS: Final = 10.0
_HEAD_BYTES: Final = 16 * 1024
_CHUNK: Final = 64 * 1024
_MAX_REFUSED: Final = 100


class ConnectProxy:
    """Listens, and connects clients with the sandbox's own port."""

    def __init__(self, is_refusing: Callable[[], bool], refused: Counter[str]) -> None:
        self.port = 0
        self.refused = refused
        self._is_refusing = is_refusing
        self._target: tuple[str, int] = ("", 0)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int, target: tuple[str, int]) -> None:
        """Listen on *host*:*port* (0 for any) and lead to *target*."""
        self._target = target
        self._server = await asyncio.start_server(self._accept, host, port, limit=_CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and cut what is connected."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer), name="sandbox proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self._is_refusing():
                writer.transport.abort()
                return
            target = await self._read_target(reader)
            if target is None or not (leads_to_sandbox(target) or self._is_own(target)):
                await self._refuse(writer, target or "not a CONNECT request")
                return
            inner_reader, inner_writer = await asyncio.open_connection(*self._target)
            writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
            await both_ways((reader, writer), (inner_reader, inner_writer))
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError) as error:
            log.debug("proxied connection ended: %s", error)
        finally:
            writer.close()  # not abort: the last bytes may still be on their way

    def _is_own(self, target: str) -> bool:
        host, _, port = target.rpartition(":")
        return (host.strip("[]"), port) == (self._target[0], str(self._target[1]))

    async def _read_target(self, reader: asyncio.StreamReader) -> str | None:
        async with asyncio.timeout(_HEAD_SECONDS):
            head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head[:_HEAD_BYTES].decode("latin-1").partition(" ")
        return rest.split(" ", 1)[0] if method == "CONNECT" else None

    async def _refuse(self, writer: asyncio.StreamWriter, target: str) -> None:
        key = target if target in self.refused or len(self.refused) < _MAX_REFUSED else "other"
        self.refused[key] += 1
        log.info("the sandbox's proxy leads to the sandbox only; refused: %s", target)
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()


async def both_ways(
    one: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    other: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    carry: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]] | None = None,
) -> None:
    """Join two connections until either ends, and close *other*; *carry* hands bytes on in one direction."""
    move = carry or _copy
    ways = [asyncio.ensure_future(move(one[0], other[1])), asyncio.ensure_future(move(other[0], one[1]))]
    try:
        # One direction ending ends both: neither TLS nor WebSocket uses a half-open connection.
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        other[1].close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
