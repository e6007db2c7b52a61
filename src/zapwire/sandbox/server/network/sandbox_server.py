"""The sandbox as a server: TLS with its own CA, the socket, media over HTTP, and the proxy that leads to it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from zapwire.sandbox.server.handlers import pictures
from zapwire.sandbox.server.handlers.media import MAX_FILE, routes
from zapwire.sandbox.server.network.client_socket import MAX_MESSAGE, ClientSocket
from zapwire.sandbox.server.network.connect_proxy import ConnectProxy
from zapwire.sandbox.server.network.web_pages import WebPages
from zapwire.sandbox.server.state_file import StateFile
from zapwire.sandbox.server.world import World

REGISTRATION_SECONDS: Final = 160.0
"""How long a client may wait to be scanned: six references, the first shown for 60 s and the others for 20 s each."""
SHUTDOWN_SECONDS: Final = 1.0


class SandboxServer:
    """`async with SandboxServer(world) as server`: serves until it is left; `server.descriptor` says where.

    *state* is a file that keeps everything, the keys included; without it all is lost at the end.
    """

    def __init__(
        self,
        world: World,
        host: str = "127.0.0.1",
        port: int = 0,
        state: Path | None = None,
        *,
        proxy_port: int = 0,
        registration_seconds: float = REGISTRATION_SECONDS,
    ) -> None:
        self.world = world
        self.app = web.Application(client_max_size=MAX_FILE)
        self.state = StateFile(world, state)
        self.registration_seconds = registration_seconds
        self._host = host
        self._port = port
        self._proxy_port = proxy_port
        self._proxy = ConnectProxy(lambda: world.faults.refusing, world.statistics.refused_hosts)
        self._stack = contextlib.AsyncExitStack()
        self._ca: Path | None = None
        self.app.add_routes([web.get("/ws/chat", self._socket), web.get("/pictures/{number}", self._picture)])
        self.app.add_routes([web.get("/sw.js", WebPages(world.faults).service_worker)])
        self.app.add_routes(routes(world))

    def add_routes(self, routes: Iterable[web.AbstractRouteDef]) -> None:
        """More of the same port, the admin API and its page; before the server is entered."""
        self.app.add_routes(routes)

    @property
    def base_url(self) -> str:
        """`https://HOST:PORT`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    @property
    def proxy(self) -> ConnectProxy:
        """The CONNECT proxy, for its statistics."""
        return self._proxy

    @property
    def descriptor(self) -> dict[str, Any]:
        """All that a client library needs to use this server instead of WhatsApp's."""
        return {
            "socket_url": f"{self.base_url.replace('https', 'wss', 1)}/ws/chat",
            "noise_root": self.state.identity.root.public.hex(),
            "proxy": f"http://{self._host}:{self._proxy.port}",
            "ca": str(self._ca),
            "admin": f"{self.base_url}/admin",
        }

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            self._port = self._port or self.state.ports.get("server", 0)
            self._proxy_port = self._proxy_port or self.state.ports.get("proxy", 0)
            await stack.enter_async_context(self.state)
            stack.push_async_callback(self.world.aclose)
            self._ca = self._write_ca(stack)
            await self._listen(stack)
            self.state.ports = {"server": self._port, "proxy": self._proxy.port}
            self.world.changed()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        stack.callback(self.world.faults.drop)
        context = self.state.authority.server_context(self._host)
        site = web.TCPSite(runner, self._host, self._port, ssl_context=context)
        await site.start()
        self._port = runner.addresses[0][1]
        self.world.media_host = self.base_url.removeprefix("https://")
        await self._proxy.start(self._host, self._proxy_port, (self._host, self._port))
        stack.push_async_callback(self._proxy.stop)

    def _write_ca(self, stack: contextlib.AsyncExitStack) -> Path:
        if self.state.path is not None:
            path = self.state.path.with_suffix(".ca.pem")
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="zapwire-sandbox-"))
            path = Path(folder) / "ca.pem"
        self.state.authority.write_certificate(path)
        return path.absolute()

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        if self.world.faults.refusing:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=503)
        socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE, compress=False, timeout=1.0)
        await socket.prepare(request)
        await ClientSocket(self.world, request, socket).run(self.state.identity, self.registration_seconds)
        return socket

    async def _picture(self, request: web.Request) -> web.Response:
        picture = pictures.find(self.world, request.match_info["number"])
        if picture is None:
            return web.Response(status=404)
        return web.Response(body=picture.data, content_type="image/jpeg")
