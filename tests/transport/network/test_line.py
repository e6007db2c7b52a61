"""The line to WhatsApp through an HTTP proxy that means ill."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from zapwire.model.proxy import Proxy
from zapwire.sandbox.server.network.connect_proxy import both_ways
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.state.faults import WebPage
from zapwire.sandbox.server.world import World
from zapwire.transport.whatsapp_web.engine.dial_errors import Unreachable
from zapwire.transport.whatsapp_web.network import newest_revision
from zapwire.transport.whatsapp_web.network.line import LineMaker

FORGED = b'HTTP/1.1 200 OK\r\n\r\n"client_revision":1999999999 '


@asynccontextmanager
async def proxy(server: SandboxServer, answer: bytes) -> AsyncIterator[Proxy]:
    """Answers CONNECT with *answer*, then leads to *server*."""
    place, tasks = urlsplit(server.base_url), list[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()
            await both_ways((reader, writer), await asyncio.open_connection(place.hostname, place.port))
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        yield Proxy.parse(f"http://127.0.0.1:{port}")
    finally:
        listening.close()
        await asyncio.wait(tasks)


async def test_what_a_proxy_writes_before_the_tls_is_not_whatsapps() -> None:
    async with SandboxServer(World()) as server:
        server.world.faults.web_page = WebPage(1_500_000_000)
        lines = LineMaker(Path(server.descriptor["ca"]), None)
        async with proxy(server, b"HTTP/1.1 200 OK\r\n\r\n" + FORGED) as evil:
            assert await newest_revision.ask(lines, evil) == 1_500_000_000


async def test_a_proxy_whose_answer_does_not_end_is_told_in_words() -> None:
    async with SandboxServer(World()) as server:
        lines = LineMaker(Path(server.descriptor["ca"]), None)
        async with proxy(server, b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000) as evil:
            with pytest.raises(Unreachable):
                await lines.dial(evil)
