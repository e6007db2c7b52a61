"""What WebSockets and Server-Sent Events share: a limit, the end of the daemon, and the text of each event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from aiohttp import web

from zapwire.api.problems import Problem
from zapwire.core.codec import event_json, timestamp
from zapwire.core.live import Gap
from zapwire.events import Event
from zapwire.store import times

T = TypeVar("T")

SLOW = 30.0
"""Seconds that a client may take nothing of what waits for it before it is cut off."""
BACKLOG = 1 << 16
"""Bytes that wait for one client at most, besides what the kernel holds and the event that crosses the limit."""
PING = 25.0
"""Seconds of silence after which a stream says something; proxies drop silent connections after some 60."""

GAP = "stream.gap"
"""The type of the frame that tells a gap; not in the journal, so it has no id."""

_TEXTS = 1024


class Streams:
    """The streams that are open now."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open = 0
        self._none_left = asyncio.Event()
        self._none_left.set()
        self._texts: dict[int, str] = {}
        self.stopping = asyncio.Event()
        """Set when the daemon stops; every stream then ends by itself."""

    def __len__(self) -> int:
        return self._open

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count one more stream. Raises a problem when there are too many."""
        if self._open >= self._most:
            raise Problem(503, "too-many-streams", "the setting max_streams is reached", headers={"Retry-After": "10"})
        self._open += 1
        self._none_left.clear()
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._none_left.set()

    async def stop(self) -> None:
        """Let every stream say goodbye; returns when all have ended."""
        self.stopping.set()
        await self._none_left.wait()

    async def unless_stopping(self, work: Awaitable[T]) -> T | None:
        """The result of *work*; None, and *work* is cancelled, once the daemon stops."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for one in (task, stop):
                if not one.done():
                    one.cancel()
                    with suppress(asyncio.CancelledError):
                        await one

    def text(self, item: Event | Gap) -> str:
        """An event or a gap as JSON; that of an event is made once for all streams."""
        if isinstance(item, Gap):
            return _dumps(gap_frame(item))
        text = self._texts.get(item.seq)
        if text is None:
            text = self._texts[item.seq] = _dumps(event_json(item))
            if len(self._texts) > _TEXTS:
                del self._texts[next(iter(self._texts))]
        return text


class Patience:
    """Notices that a client takes nothing.

    A write that waits for the client is never cancelled: all writes of a connection wait for one future of aiohttp's,
    and with one of them the last word would be cancelled too.
    """

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.waiting = False
        """A write is under way."""

    @contextmanager
    def with_write(self) -> Iterator[None]:
        """Watch one write."""
        timer = asyncio.get_running_loop().call_later(SLOW, self.over.set)
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
    """Signal `on_shutdown`: tell every client that the daemon goes away."""
    await app[STREAMS].stop()


def seq_of(item: Event | Gap) -> int:
    """Where a client that has handled *item* may go on."""
    return item.to_seq if isinstance(item, Gap) else item.seq


def gap_json(gap: Gap) -> dict[str, int]:
    """A gap in a page, or the data of a frame."""
    return {"from": gap.from_seq, "to": gap.to_seq}


def gap_frame(gap: Gap) -> dict[str, Any]:
    """A gap in a stream. Its `seq` is the last one that is missing: `after` this one everything is there."""
    return {"type": GAP, "seq": gap.to_seq, "timestamp": timestamp(times.now()), "data": gap_json(gap)}


def _dumps(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
