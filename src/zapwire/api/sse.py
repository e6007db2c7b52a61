"""The journal as Server-Sent Events (HTML Living Standard, 9.2): for browsers' EventSource and for curl.

`id` is the event's `seq`, so that a browser resumes by itself with `Last-Event-ID`. Comments keep the line open; with
them goes the cursor, so that a filtered stream in which nothing happens does not fall behind the journal's beginning.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from aiohttp import web

from zapwire.api import streams as shared
from zapwire.api.streams import BACKLOG, GAP, PING, STREAMS, Patience, Streams, abort, seq_of
from zapwire.core.live import Follower, Gap
from zapwire.errors import StoreError
from zapwire.events import Event

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/event-stream"
RETRY = 3000
"""Milliseconds that a browser waits before it comes back."""
LOOK = 2.0
"""Seconds between two looks whether the client is still there: nothing else tells while there is nothing to send."""

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would hold events back until a buffer is full
}


async def serve(request: web.Request, follower: Follower) -> web.StreamResponse:
    """Send what *follower* reads until the client goes or the daemon stops."""
    streams = request.app[STREAMS]
    with streams.slot():
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = CONTENT_TYPE
        response.charset = "utf-8"
        await response.prepare(request)
        if request.transport is not None:
            request.transport.set_write_buffer_limits(high=BACKLOG)
        await _Stream(request, response, follower, streams).run()
    return response


class _Stream:
    """One client."""

    def __init__(
        self, request: web.Request, response: web.StreamResponse, follower: Follower, streams: Streams
    ) -> None:
        self._request = request
        self._response = response
        self._follower = follower
        self._streams = streams
        self._patience = Patience()

    async def run(self) -> None:
        """Send until the client is gone or takes nothing, or the daemon stops."""
        write = asyncio.create_task(self._write(), name="events to a client")
        gone = asyncio.create_task(self._until_gone(), name="presence of a client")
        stop = asyncio.create_task(self._streams.stopping.wait(), name="end of a client")
        slow = asyncio.create_task(self._patience.over.wait(), name="patience with a client")
        tasks = {write, gone, stop, slow}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if slow in done:
                self._cut(f"took nothing for {shared.SLOW:g} s")
            elif write in done:
                self._cut(write.result())
            elif stop in done:
                await self._say_goodbye()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _cut(self, why: str | None) -> None:
        if why is not None:
            logger.warning("cut off an event stream: %s", why, extra={"peer": self._request.remote})
        abort(self._request)

    async def _say_goodbye(self) -> None:
        if self._patience.waiting:
            abort(self._request)
            return
        with suppress(ConnectionError):
            await self._response.write(b": zapwire stops\n\n")
            await self._response.write_eof()

    async def _write(self) -> str | None:
        """Send events for as long as that works; returns why it does no longer, if that is worth a word."""
        try:
            await self._send(f"retry: {RETRY}\nid: {self._follower.cursor}\n\n")
            while True:
                try:
                    async with asyncio.timeout(PING):
                        found = await self._follower.batch()
                except TimeoutError:
                    await self._send(f": ping\nid: {self._follower.cursor}\n\n")
                    continue
                for item in found:
                    await self._send(_block(item, self._streams))
        except StoreError:
            return "the database cannot be read"
        except ConnectionError:
            return None

    async def _send(self, text: str) -> None:
        with self._patience.with_write():
            await self._response.write(text.encode())

    async def _until_gone(self) -> None:
        request = self._request
        while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(LOOK)


def _block(item: Event | Gap, streams: Streams) -> str:
    kind = GAP if isinstance(item, Gap) else item.type.value
    return f"id: {seq_of(item)}\nevent: {kind}\ndata: {streams.text(item)}\n\n"
