"""What WebSockets and Server-Sent Events share: limits, patience, and the frame of each event."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from aiohttp import web

from zapwire.api.http.errors import HttpProblem
from zapwire.api.http.lifetimes import ENDINGS, Ending, StreamEnd, end
from zapwire.core.events.serializers import event_bytes, timestamp
from zapwire.core.events.subscriptions import EventGap
from zapwire.model import timestamps
from zapwire.model.events import Event
from zapwire.runtime.json_encoder import encode_bytes

SLOW = 30.0
"""Seconds that a client may take nothing of what waits for it before it is cut off."""
BACKLOG = 1 << 16
"""Bytes that wait for one client at most, besides what the kernel holds and the event that crosses the limit."""
PING = 25.0
"""Seconds of silence after which a stream says something; proxies drop silent connections after some 60."""

GAP = "stream.gap"
"""The type of the frame that tells a gap; not in the journal, so it has no id."""

STRANGERS = 32
"""WebSockets at one time that have yet to say their token; for one more the oldest is closed."""


class Streams:
    """The streams that are open now, at most *most*."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._strangers: dict[object, asyncio.Timeout] = {}

    def __len__(self) -> int:
        return self._open

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count one more stream. Raises a problem when there are too many."""
        if self._open >= self._most:
            raise HttpProblem(
                503, "too-many-streams", "the setting max_streams is reached", headers={"Retry-After": "10"}
            )
        self._open += 1
        self._none_left.clear()
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._none_left.set()

    @asynccontextmanager
    async def stranger(self, wait: float) -> AsyncIterator[None]:
        """Somebody who has *wait* seconds to say a token, less when there are many: raises `TimeoutError`."""
        async with asyncio.timeout(wait) as patience:
            if len(self._strangers) >= STRANGERS:
                oldest = self._strangers.pop(next(iter(self._strangers)))
                if not oldest.expired():  # one whose time is over in this very turn goes by itself
                    oldest.reschedule(asyncio.get_running_loop().time())
            key = object()
            self._strangers[key] = patience
            try:
                yield
            finally:
                self._strangers.pop(key, None)

    async def none_left(self) -> None:
        """Wait until all streams have ended."""
        await self._none_left.wait()


class Patience:
    """Ends a stream when its client takes nothing.

    A write that waits for the client is never cancelled: all writes of a connection wait for one future of aiohttp's,
    and with one of them the last word would be cancelled too.
    """

    def __init__(self, ending: Ending) -> None:
        self._ending = ending
        self.waiting = False
        """A write is under way."""

    @contextmanager
    def with_write(self) -> Iterator[None]:
        """Watch one write."""
        timer = asyncio.get_running_loop().call_later(SLOW, end, self._ending, StreamEnd.SLOW)
        self.waiting = True
        try:
            yield
        finally:
            self.waiting = False
            timer.cancel()


def abort(request: web.Request) -> None:
    """Drop the connection with all that waits in it."""
    if request.transport is not None:
        request.transport.abort()


STREAMS: web.AppKey[Streams] = web.AppKey("streams")


async def close_streams(app: web.Application) -> None:
    """Signal `on_shutdown`: tell every client that the daemon goes away; returns when all streams have ended."""
    app[ENDINGS].stop()
    await app[STREAMS].none_left()


def seq_of(item: Event | EventGap) -> int:
    """Where a client that has handled *item* may go on."""
    return item.to_seq if isinstance(item, EventGap) else item.seq


def frame(item: Event | EventGap) -> bytes:
    """An event or a gap as JSON in UTF-8."""
    return encode_bytes(gap_frame(item)) if isinstance(item, EventGap) else event_bytes(item)


def gap_json(gap: EventGap) -> dict[str, int]:
    """A gap in a page, or the data of a frame."""
    return {"from": gap.from_seq, "to": gap.to_seq}


def gap_frame(gap: EventGap) -> dict[str, Any]:
    """A gap in a stream. Its `seq` is the last one that is missing: `after` this one everything is there."""
    return {"type": GAP, "seq": gap.to_seq, "timestamp": timestamp(timestamps.now()), "data": gap_json(gap)}
