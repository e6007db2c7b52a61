"""Accepting connections: never more than there may be, and without a word a second when that is not possible.

asyncio's own server goes on accepting after the descriptors are used up, a hundred times a turn, each time with a
traceback; hence a loop of our own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from zapwire.api.http.client_connections import SWEEP_EVERY, ClientConnection, ClientConnections, last_words
from zapwire.api.http.errors import HttpProblem
from zapwire.runtime.log_rate_limit import LogLimit
from zapwire.runtime.tasks import Tasks, supervise

logger = logging.getLogger(__name__)

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_BACKLOG: Final = 512
_AT_ONCE: Final = 64
"""Connections that are accepted in one turn of the event loop."""
_PAUSE: Final = 1.0
"""Seconds until the next try when one could not be accepted."""
_NONE_WAITS = (BlockingIOError, InterruptedError, ConnectionAbortedError)

_FULL = last_words(
    HttpProblem(503, "too-many-connections", "too many connections are open: try again", headers={"Retry-After": "10"})
)


@asynccontextmanager
async def serve(
    app: web.Application, listener: socket.socket, *, drain: float, most: int
) -> AsyncIterator[ClientConnections]:
    """Serve *app* on *listener* to at most *most* clients; on leaving, requests under way get *drain* seconds."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=drain)
    await runner.setup()
    connections = ClientConnections(most)
    server = runner.server
    assert server is not None  # noqa: S101 - it is set up
    server.request_handler = _tracked(server.request_handler, connections)
    accepting = _Accepting(listener, server, connections)
    try:
        accepting.start()
        yield connections
    finally:
        await accepting.stop()
        await runner.cleanup()


def _tracked(handle: _Handler, connections: ClientConnections) -> _Handler:
    """Around everything that the application does with a request."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, ClientConnection)  # noqa: S101 - `_Accepting` makes no others
        with connections.answering(connection):
            try:
                return await handle(request)
            except web.HTTPExpectationFailed:  # aiohttp raises it before any middleware
                return HttpProblem(417, "bad-request", "of all expectations only 100-continue is met").response()

    return answer


class _Accepting:
    """Takes connections from *listener*."""

    def __init__(self, listener: socket.socket, server: web.Server, connections: ClientConnections) -> None:
        self._listener = listener
        self._server = server
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks()
        self._entering = 0
        self._again: asyncio.TimerHandle | None = None
        self._log = LogLimit(logger)

    def start(self) -> None:
        """Begin."""
        self._listener.setblocking(False)  # noqa: FBT003 - as below
        self._listener.listen(_BACKLOG)
        self._loop.add_reader(self._listener, self._accept)
        self._tasks.spawn(supervise("closing of idle connections", self._sweep), "closing of idle connections")

    async def stop(self) -> None:
        """Take no more."""
        if self._again is not None:
            self._again.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()
        await self._tasks.cancel()

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                client, _ = self._listener.accept()
            except _NONE_WAITS:
                return
            except OSError as error:  # no descriptors or no memory left, or the network is gone
                self._pause(error)
                return
            if self._connections.has_room(client.fileno(), self._entering):
                self._take(client)
            elif self._connections.close_one():
                self._take(client)
                return
            else:
                self._refuse(client)

    def _take(self, client: socket.socket) -> None:
        self._entering += 1
        self._tasks.spawn(self._enter(client), "a new connection")

    async def _enter(self, client: socket.socket) -> None:
        try:
            client.setblocking(False)  # noqa: FBT003 - the socket module's own way
            await self._loop.connect_accepted_socket(
                lambda: ClientConnection(self._server, self._connections, self._loop), client
            )
        except OSError:  # gone already
            client.close()
        finally:
            self._entering -= 1

    def _refuse(self, client: socket.socket) -> None:
        self._log.log(logging.WARNING, "full", "refused a connection: all %d are in use", len(self._connections))
        with client:
            client.setblocking(False)  # noqa: FBT003 - the socket module's own way
            try:
                client.send(_FULL)
            except OSError:
                return

    def _pause(self, error: OSError) -> None:
        self._log.log(logging.ERROR, "accept", "cannot accept connections: %s", error.strerror)
        self._loop.remove_reader(self._listener)
        self._again = self._loop.call_later(_PAUSE, self._loop.add_reader, self._listener, self._accept)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_EVERY)
            self._connections.sweep()
