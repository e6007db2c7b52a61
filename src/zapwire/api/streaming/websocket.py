"""The journal as a WebSocket: one JSON text frame for each event.

A client reads the journal with a cursor of its own, so there is nothing to queue and nothing to lose: a slow one delays
only itself. One that takes nothing for `SLOW` seconds is told so and cut off. At most `BACKLOG` bytes wait for it in
this process, so the close frame goes behind those, with the `seq` of the last event before it. A client that begins to
read again gets all of that; one that does not within `LAST_WORD` seconds loses the connection without it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from zapwire.api.http.auth import GRANT, Grant, presented
from zapwire.api.http.client_connections import ClientConnection
from zapwire.api.http.context import AUTH
from zapwire.api.http.errors import HttpProblem
from zapwire.api.http.lifetimes import ENDINGS, Ending, StreamEnd
from zapwire.api.streaming import common as shared
from zapwire.api.streaming.common import BACKLOG, PING, STREAMS, Patience, abort, seq_of
from zapwire.core.events.subscriptions import Subscriber
from zapwire.model.errors import StoreError
from zapwire.runtime.tasks import spawn

logger = logging.getLogger(__name__)

AUTH_WAIT = 5.0
"""Seconds that a WebSocket has to send its token."""
PONG = 20.0
"""Seconds that a client has to answer a ping."""
LAST_WORD = 10.0
"""Seconds that a client has to take what waits for it, up to the close frame."""
GOODBYE = 3.0
"""Seconds of these that it has to answer the close frame."""
LARGEST_FRAME = 4096
"""Bytes; clients have nothing to say but their token."""

CLOSE_UNAUTHORIZED = 4401
CLOSE_SLOW = 4408

NOBODY = Grant(b"", fixed=True)
"""What somebody has who has yet to say their token: nothing that could be revoked."""


async def serve(request: web.Request, follower: Subscriber) -> web.StreamResponse:
    """Upgrade *request* and send what *follower* reads until either side ends. Raises a problem before the upgrade."""
    streams = request.app[STREAMS]
    # Pings are ours, as one that waits behind a backlog is no sign of a dead client. No compression: a context of
    # each client's own costs more memory and time than all else of it.
    socket = web.WebSocketResponse(
        autoping=False, compress=False, max_msg_size=LARGEST_FRAME, timeout=GOODBYE, writer_limit=BACKLOG // 4
    )
    if presented(request) is not None:
        await request.app[AUTH].require(request)
        with streams.slot():
            await _prepare(socket, request)
            await _follow(socket, request, follower)
        return socket
    await _prepare(socket, request)
    if await _let_in(socket, request):
        try:
            with streams.slot():
                await _follow(socket, request, follower)
        except HttpProblem as problem:
            await _close(socket, request, WSCloseCode.TRY_AGAIN_LATER, problem.detail)
    return socket


async def _prepare(socket: web.WebSocketResponse, request: web.Request) -> None:
    await socket.prepare(request)
    if request.transport is not None:
        request.transport.set_write_buffer_limits(high=BACKLOG)


async def _follow(socket: web.WebSocketResponse, request: web.Request, follower: Subscriber) -> None:
    with request.app[ENDINGS].watch(request[GRANT]) as ending:
        await _Stream(socket, request, follower, ending).run()


async def _let_in(socket: web.WebSocketResponse, request: web.Request) -> bool:
    """Wait for the token, and note what it gives; closes the socket of whoever has none.

    Until then they are as good as a connection that says nothing: the first to go when there are too many.
    """
    if isinstance(request.protocol, ClientConnection):
        request.protocol.disengage()
    said = await request.app[ENDINGS].unless_over(NOBODY, _says_token(socket, request))
    if isinstance(said, Grant):
        request[GRANT] = said
        if isinstance(request.protocol, ClientConnection):
            request.protocol.engage()
        return True
    if said is None:
        await _close(socket, request, CLOSE_UNAUTHORIZED, 'send {"token": "..."} first')
    else:
        await _close(socket, request, WSCloseCode.GOING_AWAY, "zapwire stops")
    return False


async def _says_token(socket: web.WebSocketResponse, request: web.Request) -> Grant | None:
    """What the token gives in a first message `{"token": "..."}`; None when it is another message, or none in time."""
    try:
        async with request.app[STREAMS].stranger(AUTH_WAIT):
            first = await socket.receive()
            while first.type in {WSMsgType.PING, WSMsgType.PONG}:
                first = await socket.receive()
    except TimeoutError:
        return None
    if first.type is not WSMsgType.TEXT:
        return None
    try:
        said = json.loads(first.data)
    except (ValueError, RecursionError):
        return None
    token = said.get("token") if isinstance(said, dict) else None
    if not isinstance(token, str):
        return None
    auth = request.app[AUTH]
    grant = await auth.grant(token)
    if grant is None:
        auth.refused(request)
    return grant


def _close_for(why: StreamEnd) -> tuple[int, str]:
    """How a connection ends."""
    match why:
        case StreamEnd.STOP:
            return WSCloseCode.GOING_AWAY, "zapwire stops"
        case StreamEnd.REVOKED:
            return CLOSE_UNAUTHORIZED, "the token was revoked"
        case StreamEnd.SLOW:
            return CLOSE_SLOW, f"took nothing for {shared.SLOW:g} s"


class _Stream:
    """One client that was let in."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        follower: Subscriber,
        ending: Ending,
    ) -> None:
        self._socket = socket
        self._request = request
        self._follower = follower
        self._written = follower.cursor
        self._ending = ending
        self._patience = Patience(ending)

    async def run(self) -> None:
        """Send until either side ends."""
        write = spawn(self._write(), "events to a client", awaited=True)
        read = spawn(self._read(), "frames of a client", awaited=True)
        tasks: set[asyncio.Future[Any]] = {write, read}
        try:
            await asyncio.wait({*tasks, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            if read.done():
                read.result()
            elif write.done():
                await self._end(*write.result())
            else:
                await self._end(*_close_for(self._ending.result()))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, code: int, why: str) -> None:
        if code not in {WSCloseCode.GOING_AWAY, CLOSE_UNAUTHORIZED}:
            logger.warning("cut off a WebSocket: %s", why, extra={"peer": self._request.remote})
        await _close(self._socket, self._request, code, f"{why}: resume with after={self._written}")

    async def _write(self) -> tuple[int, str]:
        """Send events for as long as that works; returns how the connection has to end."""
        try:
            while True:
                for item in await self._follower.batch():
                    with self._patience.with_write():
                        # It is all in the buffer before it can wait: a frame never goes out in part.
                        self._written = seq_of(item)
                        await self._socket.send_frame(shared.frame(item), WSMsgType.TEXT)
        except StoreError:
            return WSCloseCode.INTERNAL_ERROR, "the database cannot be read"
        except ConnectionError:
            await asyncio.Event().wait()  # the reading side ends too
            raise

    async def _read(self) -> None:
        """Take frames until the client closes; answers its pings, pings a silent one and gives up a dead one."""
        pinged = False
        while True:
            try:
                async with asyncio.timeout(PONG if pinged else PING):
                    frame = await self._socket.receive()
            except TimeoutError:
                if self._patience.waiting:
                    continue  # slow or dead: patience finds out
                if pinged:
                    abort(self._request)
                    return
                pinged = True
                await self._socket.ping()
                continue
            pinged = False
            if frame.type is WSMsgType.PING:
                await self._socket.pong(frame.data)
            elif frame.type in {WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR}:
                return


async def _close(socket: web.WebSocketResponse, request: web.Request, code: int, reason: str) -> None:
    """Send a close frame and wait for its answer; without one the connection is dropped."""
    try:
        async with asyncio.timeout(LAST_WORD):
            await socket.close(code=code, message=reason.encode())
    except (TimeoutError, ConnectionError):
        abort(request)
