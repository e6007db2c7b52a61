"""The journal to the outside: a page of it as JSON, or a WebSocket that follows it.

A WebSocket reads the journal with a cursor of its own, so there is nothing to queue and nothing to lose: a slow client
delays only itself. One that takes nothing for `SLOW` seconds is cut off and can resume with `after=`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing

from aiohttp import WSCloseCode, WSMsgType, web

from zapwire.api.answers import answer
from zapwire.api.auth import presented
from zapwire.api.inputs import Whole, Words
from zapwire.api.keys import AUTH, CORE, SETTINGS
from zapwire.api.problems import Problem
from zapwire.core.codec import event_json
from zapwire.events import Event

logger = logging.getLogger(__name__)

AFTER = Whole(
    "after", "Only events after this `seq`. Without it a WebSocket starts with what comes, a page at the beginning."
)
LIMIT = Whole("limit", "Most events in one page.", minimum=1, maximum=1000, default=100)
BOTS = Words("bots", "Only events of these bots, separated by commas.")
TYPES = Words("types", "Only events of these types, separated by commas.")

SLOW = 30.0
"""Seconds that one frame may take before the client is cut off."""
AUTH_WAIT = 10.0
"""Seconds that a WebSocket has to send its token."""
PING = 25.0
"""Seconds between pings; proxies drop silent connections after some 60."""
LARGEST_FRAME = 4096
"""Bytes; clients have nothing to say but their token."""

CLOSE_UNAUTHORIZED = 4401
CLOSE_SLOW = 4408

STREAMS: web.AppKey[set[web.WebSocketResponse]] = web.AppKey("streams")


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /v1/events`."""
    if request.headers.get("Upgrade", "").lower() == "websocket":
        return await _stream(request)
    live = request.app[CORE].live
    after, limit = AFTER.read(request) or 0, LIMIT.read(request) or 100
    page = await live.page(after, bots=BOTS.read(request), types=TYPES.read(request), limit=limit)
    return answer(
        {
            "events": [event_json(event) for event in page.events],
            "next_after": page.next_after,
            "last_seq": await live.last_seq(),
        }
    )


async def close_streams(app: web.Application) -> None:
    """Signal `on_shutdown`: tell every client that the daemon goes away."""
    streams = app[STREAMS]
    await asyncio.gather(*(one.close(code=WSCloseCode.GOING_AWAY, message=b"zapwire stops") for one in list(streams)))


async def _stream(request: web.Request) -> web.StreamResponse:
    auth, streams = request.app[AUTH], request.app[STREAMS]
    said_token = presented(request) is not None
    if said_token:
        await auth.require(request)
    if len(streams) >= request.app[SETTINGS].max_streams:
        raise Problem(503, "too-many-streams", "the setting max_streams is reached", headers={"Retry-After": "10"})
    # asked before the upgrade, so that a wrong parameter is still a problem document
    follow = request.app[CORE].live.follow(AFTER.read(request), bots=BOTS.read(request), types=TYPES.read(request))
    socket = web.WebSocketResponse(heartbeat=PING, max_msg_size=LARGEST_FRAME, timeout=3, writer_limit=256 << 10)
    async with aclosing(follow):  # type: ignore[type-var]
        await socket.prepare(request)
        streams.add(socket)
        try:
            if said_token or await _says_token(socket, request):
                await _pump(socket, follow, request)
            else:
                await socket.close(code=CLOSE_UNAUTHORIZED, message=b'send {"token": "..."} first')
        finally:
            streams.discard(socket)
    return socket


async def _says_token(socket: web.WebSocketResponse, request: web.Request) -> bool:
    """Whether the first message is `{"token": "<a valid one>"}`."""
    try:
        async with asyncio.timeout(AUTH_WAIT):
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


async def _pump(socket: web.WebSocketResponse, follow: AsyncIterator[Event], request: web.Request) -> None:
    """Send until either side ends."""
    write = asyncio.create_task(_write(socket, follow, request), name="events to a client")
    read = asyncio.create_task(_drain(socket), name="frames of a client")
    try:
        done, _ = await asyncio.wait({write, read}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (write, read):
            task.cancel()
        await asyncio.gather(write, read, return_exceptions=True)


async def _write(socket: web.WebSocketResponse, follow: AsyncIterator[Event], request: web.Request) -> None:
    try:
        async for event in follow:
            text = json.dumps(event_json(event), ensure_ascii=False, separators=(",", ":"))
            async with asyncio.timeout(SLOW):
                await socket.send_str(text)
    except TimeoutError:
        logger.warning("cut off a WebSocket that took no event for %s s", SLOW, extra={"peer": request.remote})
        if request.transport is not None:
            # a close frame would wait behind what the client does not take
            request.transport.abort()
    except ConnectionError:
        return


async def _drain(socket: web.WebSocketResponse) -> None:
    """Take frames until the client closes; that is also what answers its pings."""
    async for _ in socket:
        pass
