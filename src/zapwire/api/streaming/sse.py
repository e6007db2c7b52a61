"""The journal as Server-Sent Events (HTML Living Standard, 9.2): for browsers' EventSource and for curl.

`id` is the event's `seq`, so that a browser resumes by itself with `Last-Event-ID`. Comments keep the line open; with
them goes the cursor, so that a filtered stream in which nothing happens does not fall behind the journal's beginning.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiohttp import web

from zapwire.api.http.auth import GRANT, revoked
from zapwire.api.http.lifetimes import ENDINGS, Ending, StreamEnd
from zapwire.api.streaming import common as shared
from zapwire.api.streaming.common import BACKLOG, GAP, PING, STREAMS, Patience, abort, seq_of
from zapwire.core.events.subscriptions import EventGap, Subscriber
from zapwire.model.errors import StoreError
from zapwire.model.events import Event
from zapwire.runtime.tasks import spawn

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream"
RETRY = 3000
"""Milliseconds that a browser waits before it comes back."""
PROBLEM = "stream.problem"
"""The type of the last event of a stream that has to end for a reason; its data are a problem document, without id."""
LAST_WORD = 10.0
"""Seconds that a client has to take what waits for it, up to the last word."""
LOOK = 2.0
"""Seconds between two looks whether the client is still there: nothing else tells while there is nothing to send."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until a buffer is full
}


async def serve(request: web.Request, follower: Subscriber) -> web.StreamResponse:
    """Send what *follower* reads until the client goes or the daemon stops."""
    with request.app[STREAMS].slot(), request.app[ENDINGS].watch(request[GRANT]) as ending:
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = CONTENT_TYPE
        response.charset = "utf-8"
        await response.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=BACKLOG)
        await _Stream(request, response, follower, ending).run()
    return response


class _Stream:
    """One client."""

    def __init__(
        self,
        request: web.Request,
        response: web.StreamResponse,
        follower: Subscriber,
        ending: Ending,
    ) -> None:
        self._request = request
        self._response = response
        self._follower = follower
        self._ending = ending
        self._patience = Patience(ending)

    async def run(self) -> None:
        """Send until the client is gone or takes nothing, or the daemon stops."""
        write = spawn(self._write(), "events to a client", awaited=True)
        gone = spawn(self._until_gone(), "presence of a client")
        tasks: set[asyncio.Future[Any]] = {write, gone}
        try:
            await asyncio.wait({*tasks, self._ending}, return_when=asyncio.FIRST_COMPLETED)
            if self._ending.done():
                await self._end(self._ending.result())
            elif write.done():
                self._cut(write.result())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self, why: StreamEnd) -> None:
        match why:
            case StreamEnd.SLOW:
                self._cut(f"took nothing for {shared.SLOW:g} s")
            case StreamEnd.REVOKED:
                await self._say_goodbye(f"event: {PROBLEM}\ndata: {revoked().text()}\n\n")
            case StreamEnd.STOP:
                await self._say_goodbye(": zapwire stops\n\n")

    def _cut(self, why: str | None) -> None:
        if why is not None:
            logger.warning("cut off an event stream: %s", why, extra={"peer": self._request.remote})
        abort(self._request)

    async def _say_goodbye(self, words: str) -> None:
        if self._patience.waiting:
            abort(self._request)
            return
        try:
            async with asyncio.timeout(LAST_WORD):
                await self._response.write(words.encode())
                await self._response.write_eof()
        except (TimeoutError, ConnectionError):
            abort(self._request)

    async def _write(self) -> str | None:
        """Send events for as long as that works; returns why it does no longer, if that is worth a word."""
        try:
            await self._send(f"retry: {RETRY}\nid: {self._follower.cursor}\n\n".encode())
            while True:
                try:
                    async with asyncio.timeout(PING):
                        found = await self._follower.batch()
                except TimeoutError:
                    await self._send(f": ping\nid: {self._follower.cursor}\n\n".encode())
                    continue
                for item in found:
                    await self._send(_block(item))
        except StoreError:
            return "the database cannot be read"
        except ConnectionError:
            return None

    async def _send(self, block: bytes) -> None:
        with self._patience.with_write():
            await self._response.write(block)

    async def _until_gone(self) -> None:
        request = self._request
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(LOOK)


def _block(item: Event | EventGap) -> bytes:
    kind = GAP if isinstance(item, EventGap) else item.type.value
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq_of(item), kind.encode(), shared.frame(item))
