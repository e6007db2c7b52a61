"""One request to a webhook, and what of its answer arrived. The headers are Standard Webhooks'.

aiohttp makes and keeps the connections (names, TLS, the address that is checked) and parses the answers. Its client
session is left out: it parses the address and merges headers, cookies and redirects for every request, which costs
more than all the rest of a delivery, and of which a webhook needs nothing.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from types import TracebackType
from typing import Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from aiohttp.streams import StreamReader

from zapwire.core.network.ssrf_guard import Forbidden, SsrfGuard
from zapwire.core.webhooks.outcome import ANSWER_MOST, Outcome, retry_after, status_error
from zapwire.core.webhooks.prepared_request import PreparedRequest
from zapwire.core.webhooks.status_line import ListeningConnector, ListeningProtocol, StatusLine
from zapwire.model import timestamps
from zapwire.model.events import Event

log = logging.getLogger(__name__)

_HEADER_MOST: Final = 65_536
"""Bytes of one header of an answer, and of its status line."""
_HEADERS_MOST: Final = 1024
_STALE: Final = frozenset({errno.ECONNRESET, errno.EPIPE})
_UNBOUNDED: Final = aiohttp.ClientTimeout(total=None)
"""`HttpClient.post` bounds the whole, also a second request."""


class HttpClient:
    """The client for all endpoints; an async context manager.

    There is no bound on connections: waiting for one would count as the receiver's slowness.
    """

    def __init__(self, guard: SsrfGuard, resolver: AbstractResolver | None = None) -> None:
        self._connector = ListeningConnector(
            limit=0, resolver=resolver, use_dns_cache=False, socket_factory=guard.open_socket
        )  # names are kept by the resolver

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._connector.close()

    async def post(self, request: PreparedRequest, event: Event, seconds: float) -> Outcome:
        """Deliver *event* within *seconds*; what goes wrong is in the outcome.

        A kept connection that the receiver has just closed is no failure: then once more, on a new one.
        """
        at, began = timestamps.now(), time.monotonic()
        exchange, error = _Exchange(self._connector, request), None
        try:
            content = request.encode(event, at)
            async with asyncio.timeout(seconds):
                try:
                    await exchange.make(content)
                except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as broken:
                    stale = not isinstance(broken, aiohttp.ClientOSError) or broken.errno in _STALE
                    if exchange.status is not None or not stale:
                        raise
                    await exchange.make(content)
        except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError, ValueError) as broken:
            error = _sentence(broken)
        except Exception:  # whatever it is, it concerns this one attempt
            log.exception("a webhook delivery failed with an unexpected error")
            error = "internal error, see the log of zapwire"
        if exchange.status is not None:  # the status decides, whatever else is wrong with the answer
            error = status_error(exchange.status)
        return Outcome(
            *(at, round((time.monotonic() - began) * 1000), error, exchange.status),
            *(retry_after(exchange.retry_after, at), bytes(exchange.answer)),
            cut=exchange.cut,
            encoding=exchange.encoding,
            connected=exchange.line is not None,
        )


class _Exchange:
    """One request and its answer; what of that has arrived stays when it breaks off."""

    __slots__ = ("_connector", "_request", "answer", "cut", "encoding", "line", "retry_after")

    def __init__(self, connector: ListeningConnector, request: PreparedRequest) -> None:
        self._connector = connector
        self._request = request
        self.line: StatusLine | None = None
        """Of the answer; None until there is a connection."""
        self.retry_after: str | None = None
        self.encoding = "identity"
        self.answer = bytearray()
        self.cut = False

    @property
    def status(self) -> int | None:
        """The status in the bytes that came."""
        return None if self.line is None else self.line.status

    async def make(self, content: bytes) -> None:
        """Send *content*, a whole request, and read the answer."""
        self.line, self.cut = None, True
        connection = await self._connector.connect(self._request.address, [], _UNBOUNDED)
        try:
            await self._converse(connection, content)
        finally:
            if self.cut:
                connection.close()
            else:
                connection.release()

    async def _converse(self, connection: Connection, content: bytes) -> None:
        protocol = connection.protocol
        if not isinstance(protocol, ListeningProtocol):
            raise TypeError("the connector makes other connections")
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=ANSWER_MOST,
            max_line_size=_HEADER_MOST,
            max_field_size=_HEADER_MOST,
            max_headers=_HEADERS_MOST,
        )
        self.line = protocol.line
        transport = protocol.transport
        if transport is None:
            raise aiohttp.ServerDisconnectedError
        transport.write(content)
        payload = await self._head(protocol)
        while len(self.answer) < ANSWER_MOST and (part := await payload.read(ANSWER_MOST - len(self.answer))):
            self.answer += part
        # A connection on which our request has not gone out, or that became something else, is not used again.
        self.cut = not payload.at_eof() or protocol.upgraded or transport.get_write_buffer_size() > 0

    async def _head(self, protocol: ResponseHandler) -> StreamReader:
        while True:
            message, payload = await protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:  # interim answers are passed over
                self.retry_after = message.headers.get("Retry-After")
                self.encoding = message.headers.get("Content-Encoding", "identity")
                return payload


_SENTENCES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (TimeoutError, "it did not answer in time"),
    (aiohttp.ClientSSLError, "the TLS connection failed"),
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (HttpProcessingError, "its answer is not HTTP"),
)
"""The first that fits counts."""


def _sentence(error: Exception) -> str:
    """What went wrong, for a person; without the address, which is a secret of the endpoint."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not trusted: {getattr(error.certificate_error, 'verify_message', 'invalid')}"
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, Forbidden):
        return str(error.os_error.strerror)
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            return sentence
    number = getattr(error, "errno", None)
    return f"cannot be reached: {os.strerror(number) if number else type(error).__name__}"
