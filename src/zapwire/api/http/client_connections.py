"""Connections to the HTTP server: bounded in number and in time, and answered with problems whatever they say.

aiohttp alone bounds neither: it waits an hour for a request, for ever for a body and for a client that takes nothing,
and tells what is no HTTP in its own words. Decision 0010 says why this is done here.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from aiohttp import http_exceptions, web

from zapwire.api.http.errors import HttpProblem
from zapwire.api.http.host_guard import SECURITY_HEADERS
from zapwire.runtime.log_rate_limit import LogLimit

logger = logging.getLogger(__name__)

HEAD_WAIT: Final = 15.0
"""Seconds that a new connection has until its first request is there, up to the end of its head."""
IDLE_WAIT: Final = 75.0
"""Seconds that a connection may be kept alive without a request; reverse proxies keep theirs for 60 as a rule."""
WRITE_WAIT: Final = 60.0
"""Seconds in which a client that has something coming takes nothing of it."""
LINGER: Final = 5.0
"""Seconds in which the rest of a body is read that nobody wants, so that the client sees the answer."""
SWEEP_EVERY: Final = 2.5
"""Seconds between two looks for connections whose time is over."""
DESCRIPTORS: Final = 0.75
"""Share of the process' descriptors beyond which connections make room for each other; at 0.8 an alert is raised."""
ALWAYS: Final = 16
"""Connections that there may be however many descriptors others use."""
BEGINNING: Final = 0.2
"""Seconds in which a connection is rather kept than an idle one: its first request may be on its way."""
LOOKED_AT: Final = 64
"""Idle connections among which one is looked for whose client has its answer."""
SETTLED: Final = 1.0
"""Seconds after an answer in which a connection does not make room for another: its client may be reading."""


class ClientConnection(web.RequestHandler):
    """One client's connection."""

    __slots__ = ("_owner", "heard", "in_use", "link", "since", "unsent", "unsent_since")

    def __init__(self, server: web.Server, owner: ClientConnections, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # what aiohttp's own runner gives for none
            keepalive_timeout=4 * IDLE_WAIT,  # ours comes first
            lingering_time=LINGER,
        )
        self._owner = owner
        self.link: asyncio.Transport | None = None
        """Until it is really closed, which may be long after it was given up."""
        self.heard = False
        """Whether a request was read on it."""
        self.in_use = False
        """Whether a request is being answered."""
        self.since = loop.time()
        """When *in_use* changed last."""
        self.unsent = 0
        """Bytes that waited for the client at the last look, and since when it has taken none of them."""
        self.unsent_since = self.since

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        super().connection_made(transport)
        self.link = self.transport
        self._owner.entered(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Called by the event loop."""
        self._owner.left(self)
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, and to what fails outside the application."""
        if isinstance(exc, http_exceptions.HttpProcessingError):
            return _Farewell(HttpProblem(400, "bad-request", "this is not an HTTP request that can be read"))
        if not isinstance(exc, ConnectionError):
            self._owner.log.log(
                logging.ERROR,
                f"{type(exc)}",
                "a request failed outside its handler: %s",
                type(exc).__name__,
                exc_info=exc,
            )
        if request.writer.output_size > 0:
            message = "the answer has begun: there is no place for another"
            raise ConnectionResetError(message)
        return _Farewell(HttpProblem(status, "internal-error", "an internal error; the log says more"))

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """What aiohttp cannot make anything of: mostly a body that is not what its head says."""
        error = kw.get("exc_info")
        if not isinstance(error, (web.RequestPayloadError, http_exceptions.HttpProcessingError, ConnectionError)):
            self._owner.log.log(logging.ERROR, f"{type(error)}", *args, **kw)

    @property
    def unsent_now(self) -> int:
        """Bytes that wait for the client."""
        return 0 if self.link is None else self.link.get_write_buffer_size()

    def disengage(self) -> None:
        """It is in use, but by somebody who has yet to say who they are: as good as one that says nothing."""
        self._owner.disengage(self)

    def engage(self) -> None:
        """They have said it."""
        self._owner.engage(self)

    def drop(self) -> None:
        """Close it now, with all that waits in it."""
        if self.link is not None:
            self.link.abort()


class ClientConnections:
    """All connections of one server, at most *most*."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._bound = most
        """Less than *most* while the process has few descriptors left."""
        self._all: set[ClientConnection] = set()
        self._silent: dict[ClientConnection, None] = {}
        """Those that have not said who they are, the longest first."""
        self._idle: dict[ClientConnection, None] = {}
        """Those between two requests, the longest first."""
        self.log = LogLimit(logger)

    def __len__(self) -> int:
        return len(self._all)

    def has_room(self, descriptor: int, under_way: int = 0) -> bool:
        """Whether there is room for one more beside those *under_way*.

        The new one has this *descriptor*: the kernel gives the lowest free number, so all below it are in use. A lower
        one says less, as it may fill a gap: so once there are too many, there may be no more than now until the next
        look.
        """
        open_now = len(self._all) + under_way
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if limit != resource.RLIM_INFINITY and descriptor >= limit * DESCRIPTORS:
            self._bound = min(self._bound, max(open_now, ALWAYS))
        return open_now < self._bound

    def entered(self, connection: ClientConnection) -> None:
        """It is there, and has said nothing."""
        self._all.add(connection)
        self._silent[connection] = None

    def left(self, connection: ClientConnection) -> None:
        """It is gone."""
        for place in (self._silent, self._idle):
            place.pop(connection, None)
        self._all.discard(connection)

    @contextmanager
    def answering(self, connection: ClientConnection) -> Iterator[None]:
        """A request of it is being answered."""
        self.engage(connection)
        try:
            yield
        finally:
            connection.in_use = False
            connection.since = asyncio.get_running_loop().time()
            if connection in self._all:
                self._silent.pop(connection, None)
                self._idle[connection] = None

    def engage(self, connection: ClientConnection) -> None:
        """It is in use."""
        connection.heard = connection.in_use = True
        self._silent.pop(connection, None)
        self._idle.pop(connection, None)

    def disengage(self, connection: ClientConnection) -> None:
        """Count it among the silent ones."""
        if connection in self._all:
            connection.heard = connection.in_use = False
            connection.since = asyncio.get_running_loop().time()
            self._silent[connection] = None

    def sweep(self) -> None:
        """Close those whose time is over."""
        now, self._bound = asyncio.get_running_loop().time(), self._most
        for connection in [*self._all]:
            if self._is_over(connection, now):
                connection.drop()

    def _is_over(self, connection: ClientConnection, now: float) -> bool:
        unsent = connection.unsent_now
        if unsent and unsent >= connection.unsent > 0:
            connection.unsent = unsent  # more came: the next look asks whether it takes of that
            return now - connection.unsent_since > WRITE_WAIT
        connection.unsent, connection.unsent_since = unsent, now
        wait = IDLE_WAIT if connection.heard else HEAD_WAIT
        return not unsent and not connection.in_use and now - connection.since > wait

    def _idlest(self) -> ClientConnection | None:
        """The one that has been idle longest; rather one whose client has all of its last answer."""
        among = islice(self._idle, LOOKED_AT)
        return next((one for one in among if not one.unsent_now), next(iter(self._idle), None))

    def close_one(self) -> bool:
        """Close the connection that is needed least, the silent ones first; False when all are in use.

        Its descriptor is free in the next turn of the event loop.
        """
        now = asyncio.get_running_loop().time()
        silent, idle = next(iter(self._silent), None), self._idlest()
        if silent is not None and now - silent.since > BEGINNING:
            chosen = silent
        elif idle is not None and now - idle.since > SETTLED:
            chosen = idle
        elif silent is not None:
            chosen = silent
        else:
            return False
        self._silent.pop(chosen, None)
        self._idle.pop(chosen, None)
        self._all.discard(chosen)  # its end is told in the next turn
        chosen.drop()
        self.log.log(
            logging.WARNING, "room", "%d connections are open: idle ones are closed for new ones", len(self._all) + 1
        )
        return True


class _Farewell(web.Response):
    """The last answer on a connection, for requests of which not even the version is known."""

    def __init__(self, problem: HttpProblem) -> None:
        super().__init__(status=problem.status)
        self._bytes = last_words(problem)
        self.force_close()

    async def prepare(self, request: web.BaseRequest) -> Any:
        """Send it whole: aiohttp would answer as HTTP/1.0, under its own name."""
        await request.writer.write(self._bytes)

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing follows."""


def last_words(problem: HttpProblem) -> bytes:
    """A whole answer, after which the connection is closed."""
    made = problem.response()
    assert isinstance(made.body, bytes)  # noqa: S101 - a problem is a text
    fields = {
        **SECURITY_HEADERS,
        **problem.headers,
        "Content-Type": made.headers["Content-Type"],
        "Content-Length": str(len(made.body)),
        "ClientConnection": "close",
    }
    lines = [f"HTTP/1.1 {made.status} {made.reason}", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + made.body
