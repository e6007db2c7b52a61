"""When what goes on for long has to end: the daemon stops, or the token that it was opened with was revoked.

Streams and waiting calls were let in once; a token that is revoked afterwards, here or by another process, ends them
within a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from typing import Any, Final, TypeVar

from aiohttp import web

from zapwire.api.http.auth import GRANT, Grant, revoked
from zapwire.core.access.tokens import Tokens
from zapwire.model.errors import StoreError
from zapwire.runtime.tasks import spawn, supervise

T = TypeVar("T")

LOOK_EVERY: Final = 0.5
"""Seconds between two looks whether the tokens are still good, while something is open."""


class StreamEnd(Enum):
    """Why it ends."""

    STOP = auto()
    """The daemon stops."""
    REVOKED = auto()
    """The token was revoked."""
    SLOW = auto()
    """The client takes nothing."""


Ending = asyncio.Future[StreamEnd]
"""Has a result once it is time."""


def end(ending: Ending, why: StreamEnd) -> None:
    """Say so, unless it was said before."""
    if not ending.done():
        ending.set_result(why)


class Lifetimes:
    """What goes on for long."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._open: dict[Ending, Grant] = {}
        self._some = asyncio.Event()
        self.stopping = False

    @contextmanager
    def watch(self, grant: Grant) -> Iterator[Ending]:
        """Something that goes on as long as this *grant* holds and the daemon runs."""
        ending: Ending = asyncio.get_running_loop().create_future()
        if self.stopping:
            end(ending, StreamEnd.STOP)
        self._open[ending] = grant
        self._some.set()
        try:
            yield ending
        finally:
            del self._open[ending]

    def stop(self) -> None:
        """The daemon stops."""
        self.stopping = True
        for ending in self._open:
            end(ending, StreamEnd.STOP)

    async def unless_over(self, grant: Grant, work: Coroutine[Any, Any, T]) -> T | StreamEnd:
        """The result of *work*, which may wait; or why it has to end before, and *work* is cancelled."""
        with self.watch(grant) as ending:
            task = spawn(work, "a call that waits", awaited=True)
            either: set[asyncio.Future[Any]] = {task, ending}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                return task.result() if task.done() else ending.result()
            finally:
                if not task.done():
                    task.cancel()
                    await asyncio.wait([task])

    async def run(self) -> None:
        """Look after revoked tokens, for ever."""
        await supervise("the look for revoked tokens", self._look)

    async def _look(self) -> None:
        while True:
            await self._some.wait()
            await asyncio.sleep(LOOK_EVERY)
            digests = {grant.digest for grant in self._open.values() if not grant.fixed}
            if not digests:
                self._some.clear()
                continue
            try:
                good = await self._tokens.still_good(digests)
            except StoreError:
                continue  # nobody can say; who cannot read the database is told nothing new either
            for ending, grant in self._open.items():
                if not grant.fixed and grant.digest in digests - good:
                    end(ending, StreamEnd.REVOKED)


ENDINGS = web.AppKey("endings", Lifetimes)


async def while_allowed(request: web.Request, work: Coroutine[Any, Any, T]) -> T | None:
    """The result of *work*, which may wait; None when the daemon stops first.

    Raises a 401 problem when the token of *request* is revoked meanwhile.
    """
    found = await request.app[ENDINGS].unless_over(request[GRANT], work)
    if found is StreamEnd.REVOKED:
        raise revoked()
    return None if isinstance(found, StreamEnd) else found
