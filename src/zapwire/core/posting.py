"""One delivery: the signed request, and what its answer means. The headers are Standard Webhooks'."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus

import aiohttp
from aiohttp.abc import AbstractResolver
from multidict import CIMultiDict

import zapwire
from zapwire import json_encoder
from zapwire.core import codec
from zapwire.core.guard import Forbidden, Guard
from zapwire.core.signing import Signer
from zapwire.core.status_line import LISTENER, Listener, ListeningConnector, ListeningResponse
from zapwire.events import Event
from zapwire.store import times

log = logging.getLogger(__name__)

ANSWER_MOST = 4096
"""Bytes of an answer that are read and kept; of a longer one the connection is closed."""
_HEADER_MOST = 65_536
"""Bytes of one header of an answer, and of its status line."""
_HEADERS_MOST = 1024
_STALE = frozenset({errno.ECONNRESET, errno.EPIPE})
_GATEWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""What proxies answer when the receiver behind them is not there."""
_LATER = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
"""Of 4xx: those that say nothing against the event."""


class Failure(Enum):
    """What a failed attempt says: about the endpoint, or about the event."""

    NO_CONNECTION = auto()
    """No connection could be made. That has nothing to do with the event."""
    NO_ANSWER = auto()
    """It did not answer, or a proxy before it says that it does not (502, 503, 504)."""
    CLIENT_ERROR = auto()
    """It does not want this event (4xx but for 408, 409, 425 and 429)."""
    ANSWERED = auto()
    """It answered something else than 2xx."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where deliveries of one endpoint go, and how they are signed."""

    url: str
    signer: Signer
    headers: Mapping[str, str] = field(default_factory=dict)
    """The endpoint's own."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one attempt; delivered when there is no error."""

    at: datetime
    duration_ms: int = 0
    error: str | None = None
    """A sentence that names neither the address nor anything of the event."""
    status: int | None = None
    retry_after: float | None = None
    """Seconds the endpoint asked for."""
    answer: bytes = b""
    """The first `ANSWER_MOST` bytes of the body."""
    cut: bool = False
    """There was more of it, or its end never came."""
    encoding: str = "identity"
    """The answer's `Content-Encoding`; nothing is unpacked."""
    connected: bool = True
    """Was there a connection?"""
    counted: bool = True
    """Does a failure use up an attempt of the event?"""

    @property
    def failure(self) -> Failure | None:
        """The kind of failure; None when it was delivered."""
        if self.error is None:
            return None
        if self.status is None:
            return Failure.NO_ANSWER if self.connected else Failure.NO_CONNECTION
        if self.status in _GATEWAY:
            return Failure.NO_ANSWER
        if HTTPStatus(400) <= self.status < HTTPStatus(500) and self.status not in _LATER:
            return Failure.CLIENT_ERROR
        return Failure.ANSWERED

    @property
    def gone(self) -> bool:
        """The endpoint wants nothing ever again."""
        return self.status == HTTPStatus.GONE


def open_session(guard: Guard, resolver: AbstractResolver | None = None) -> aiohttp.ClientSession:
    """The client for all endpoints: no cookies, no proxies, nothing unpacked, small buffers.

    There is no bound on connections: waiting for one would count as the receiver's slowness.
    """
    connector = ListeningConnector(
        limit=0, resolver=resolver, use_dns_cache=False, socket_factory=guard.open_socket
    )  # names are kept by the resolver
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # `post` bounds the whole, also a second try
        auto_decompress=False,
        read_bufsize=ANSWER_MOST,
        max_line_size=_HEADER_MOST,
        max_field_size=_HEADER_MOST,
        max_headers=_HEADERS_MOST,
        response_class=ListeningResponse,
        skip_auto_headers=("Accept", "Accept-Encoding"),
    )


def body(event: Event) -> str:
    """The event as it is posted."""
    return json_encoder.encode(codec.event_json(event))


async def post(session: aiohttp.ClientSession, target: Target, event: str, content: str, seconds: float) -> Outcome:
    """Deliver *content*, the body of *event*, within *seconds*; what goes wrong on the way is in the outcome.

    A kept connection that the receiver has just closed is no failure: then once more, on a new one.
    """
    at, began = times.now(), time.monotonic()
    attempt = _Attempt()
    error = None
    try:
        async with asyncio.timeout(seconds):
            try:
                await attempt.make(session, target, event, content)
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as broken:
                stale = not isinstance(broken, aiohttp.ClientOSError) or broken.errno in _STALE
                if attempt.status is not None or not stale:
                    raise
                await attempt.make(session, target, event, content)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as broken:
        error = _sentence(broken)
    except Exception:  # whatever it is, it concerns this one attempt
        log.exception("a webhook delivery failed in a way nobody expected")
        error = "internal error, see the log of zapwire"
    if attempt.status is not None:  # the status decides, whatever else is wrong with the answer
        error = _judged(attempt.status)
    return attempt.outcome(at, round((time.monotonic() - began) * 1000), error)


class _Attempt:
    """One request; what of its answer has arrived stays when it breaks off."""

    def __init__(self) -> None:
        self._listener = Listener()
        self._retry_after: str | None = None
        self._encoding = "identity"
        self._answer = bytearray()
        self._cut = False

    @property
    def status(self) -> int | None:
        return self._listener.status

    def outcome(self, at: datetime, duration: int, error: str | None) -> Outcome:
        return Outcome(
            *(at, duration, error, self.status, _retry_after(self._retry_after, at), bytes(self._answer)),
            cut=self._cut,
            encoding=self._encoding,
            connected=self._listener.connected,
        )

    async def make(self, session: aiohttp.ClientSession, target: Target, event: str, content: str) -> None:
        self._listener = Listener()
        LISTENER.set(self._listener)
        now = datetime.now(UTC)
        headers = CIMultiDict({"User-Agent": f"zapwire/{zapwire.__version__}"})
        headers.update(target.headers)
        headers.update(
            {
                "Accept-Encoding": "identity",
                "Content-Type": "application/json",
                "webhook-id": event,
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": target.signer.sign(event, now, content),
            }
        )
        self._cut = True
        async with session.post(
            target.url, data=content.encode(), headers=headers, allow_redirects=False, max_redirects=0
        ) as response:
            self._retry_after = response.headers.get("Retry-After")
            self._encoding = response.headers.get("Content-Encoding", "identity")
            await self._read(response)

    async def _read(self, response: aiohttp.ClientResponse) -> None:
        while len(self._answer) < ANSWER_MOST:
            part = await response.content.read(ANSWER_MOST - len(self._answer))
            if not part:
                break
            self._answer += part
        self._cut = not response.content.at_eof()
        if self._cut:
            response.close()


def _judged(status: int) -> str | None:
    if HTTPStatus(200) <= status < HTTPStatus(300):
        return None
    if HTTPStatus(300) <= status < HTTPStatus(400):
        return f"it answered {status}: redirects are not followed, give the final address"
    return f"it answered {status}"


_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (TimeoutError, "it did not answer in time"),
    (aiohttp.ClientSSLError, "the TLS connection failed"),
    (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
    (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
    (aiohttp.ClientResponseError, "its answer is not HTTP"),
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


def _retry_after(value: str | None, now: datetime) -> float | None:
    """`Retry-After` in seconds, given as such or as a date; None when it is not there or makes no sense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])  # 30 years are as good as endless
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):  # what the parser raises for strange dates
        return None


def text_of(answer: bytes) -> str | None:
    """An answer as it is kept and shown; None when it was empty."""
    return answer.decode(errors="replace") or None
