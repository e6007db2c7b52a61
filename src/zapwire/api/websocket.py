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

from aiohttp import WSCloseCode, WSMsgType, web

from zapwire.api import streams as shared
from zapwire.api.auth import presented
from zapwire.api.keys import AUTH
from zapwire.api.streams import BACKLOG, PING, STREAMS, Patience, Streams, abort, seq_of
from zapwire.core.live import Follower
from zapwire.errors import StoreError

logger = logging.getLogger(__name__)

AUTH_WAIT = 10.0
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


async def serve(request: web.Request, follower: Follower) -> web.StreamResponse:
    """Upgrade *request* and send what *follower* reads until either side ends. Raises a problem before the upgrade."""
    auth, streams = request.app[AUTH], request.app[STREAMS]
    said_token = presented(request) is not None
    if said_token:
        await auth.require(request)
    with streams.slot():
        # Pings are ours, as one that waits behind a backlog is no sign of a dead client. No compression: a context of
        # each client's own costs more memory and time than all else of it.
        socket = web.WebSocketResponse(
            autoping=False, compress=False, max_msg_size=LARGEST_FRAME, timeout=GOODBYE, writer_limit=BACKLOG // 4
        )
        await socket.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=BACKLOG)
        if said_token or await streams.unless_stopping(_says_token(socket, request)):
            await _Stream(socket, request, follower, streams).run()
        elif streams.stopping.is_set():
            await _close(socket, request, WSCloseCode.GOING_AWAY, "zapwire stops")
        else:
            await _close(socket, request, CLOSE_UNAUTHORIZED, 'send {"token": "..."} first')
    return socket


async def _says_token(socket: web.WebSocketResponse, request: web.Request) -> bool:
    """Whether the first message is `{"token": "<a valid one>"}`."""
    try:
        async with asyncio.timeout(AUTH_WAIT):
            first = await socket.receive()
            while first.type in {WSMsgType.PING, WSMsgType.PONG}:
                first = await socket.receive()
    except TimeoutError:
        return False
    if first.type is not WSMsgType.TEXT:
        return False
    try:
        said = json.loads(first.data)
    except ValueError:
        return False
    token = said.get("token") if isinstance(said, dict) else None
    return isinstance(token, str) and await request.app[AUTH].accepts(token)


class _Stream:
    """One client that was let in."""

    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, follower: Follower, streams: Streams
    ) -> None:
        self._socket = socket
        self._request = request
        self._follower = follower
        self._streams = streams
        self._written = follower.cursor
        self._patience = Patience()

    async def run(self) -> None:
        """Send until either side ends."""
        write = asyncio.create_task(self._write(), name="events to a client")
        read = asyncio.create_task(self._read(), name="frames of a client")
        stop = asyncio.create_task(self._streams.stopping.wait(), name="end of a client")
        slow = asyncio.create_task(self._patience.over.wait(), name="patience with a client")
        tasks = {write, read, stop, slow}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if read in done:
                read.result()
            elif write in done:
                await self._end(*write.result())
            elif slow in done:
                await self._end(CLOSE_SLOW, f"took nothing for {shared.SLOW:g} s")
            else:
                await self._end(WSCloseCode.GOING_AWAY, "zapwire stops")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, code: int, why: str) -> None:
        if code != WSCloseCode.GOING_AWAY:
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
                        await self._socket.send_str(self._streams.text(item))
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
