"""A real proxy, CONNECT and SOCKS5, with a user name and a password; WhatsApp's names lead to the sandbox.

Behind a SOCKS5 proxy the engine still uses the HTTPS_PROXY that its process was started with (docs/engine.md's E23):
in tests that is the sandbox's own, so this one leads there, too.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from typing import Self
from urllib.parse import urlsplit

from zapwire.sandbox.server.network.connect_proxy import both_ways, leads_to_sandbox

USER, PASSWORD = "proxy-user", "pr0xy:p@ss/word"
IN_URL = "proxy-user:pr0xy%3Ap%40ss%2Fword"


Place = tuple[str | None, int | None]


class TestProxy:
    """`kill` cuts everything and stops listening, `start` listens again on the same port."""

    __test__ = False  # no test class, whatever its name

    def __init__(self, scheme: str, descriptor: dict[str, str]) -> None:
        target, chained = urlsplit(descriptor["socket_url"]), urlsplit(descriptor["proxy"])
        self._scheme = scheme
        self._chained = (chained.hostname, chained.port)
        self._target = (target.hostname, target.port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.flowing = asyncio.Event()
        """Cleared, nothing passes any more, and nobody is told."""
        self.flowing.set()
        self.port = 0
        self.refused = 0
        """Connections that gave no or the wrong password."""
        self.opened = 0
        self.open = 0
        self.carried = 0
        """Bytes, both ways."""

    @property
    def url(self) -> str:
        return f"{self._scheme}://{IN_URL}@127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            agreed = await (self._connect(reader, writer) if self._scheme == "http" else self._socks5(reader, writer))
            if agreed is not None:
                await self._carry(reader, writer, agreed)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Place | None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if f"Proxy-Authorization: Basic {login}\r\n" not in head:
            self.refused += 1
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            return None
        if not leads_to_sandbox(head.split(" ")[1]):
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            return None
        writer.write(b"HTTP/1.1 200 Connection Established\r\n\r\n")
        return self._target

    async def _socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Place | None:
        """RFC 1928 and 1929."""
        _, count = await reader.readexactly(2)
        if 2 not in await reader.readexactly(count):
            self.refused += 1
            writer.write(b"\x05\xff")
            return None
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        login = [await reader.readexactly((await reader.readexactly(1))[0]) for _ in range(2)]
        right = login == [USER.encode(), PASSWORD.encode()]
        writer.write(b"\x01\x00" if right else b"\x01\x01")
        if not right:
            self.refused += 1
            return None
        _, command, _, kind = await reader.readexactly(4)
        assert command == 1
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = socket.inet_ntoa(await reader.readexactly(4))
        port = int.from_bytes(await reader.readexactly(2), "big")
        place = self._target if leads_to_sandbox(f"{host}:{port}") else None
        if (host, port) == self._chained:
            place = self._chained
        writer.write(bytes((5, 2 if place is None else 0, 0, 1, 0, 0, 0, 0, 0, 0)))
        return place

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: Place) -> None:
        inner = await asyncio.open_connection(*place)
        self.opened += 1
        self.open += 1
        try:
            await both_ways((reader, writer), inner, self._copy)
        finally:
            self.open -= 1

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self.flowing.wait()
            self.carried += len(data)
            writer.write(data)
            await writer.drain()
