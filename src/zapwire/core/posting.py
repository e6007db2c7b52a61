"""One delivery: the signed request, and what its answer means. The headers are Standard Webhooks'."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from multidict import CIMultiDict

import zapwire
from zapwire.core import codec
from zapwire.core.guard import Forbidden
from zapwire.core.signing import Signer
from zapwire.events import Event
from zapwire.store import times

ANSWER_MOST = 4096
"""Bytes of an answer that are read and kept; of a longer one the connection is closed."""
_STALE = frozenset({errno.ECONNRESET, errno.EPIPE})


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

    @property
    def gone(self) -> bool:
        """The endpoint wants nothing ever again."""
        return self.status == HTTPStatus.GONE


def open_session(connector: aiohttp.BaseConnector) -> aiohttp.ClientSession:
    """The client for all endpoints: no cookies, no proxies, nothing unpacked, small buffers."""
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),  # `post` bounds the whole, also a second try
        auto_decompress=False,
        read_bufsize=ANSWER_MOST,
        skip_auto_headers=("Accept", "Accept-Encoding"),
    )


def body(event: Event) -> str:
    """The event as it is posted."""
    return json.dumps(codec.event_json(event), ensure_ascii=False, separators=(",", ":"))


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
    if attempt.status is not None:  # the status decides, even if the body broke off
        error = _judged(attempt.status)
    duration = round((time.monotonic() - began) * 1000)
    wait = _retry_after(attempt.retry_after, at)
    return Outcome(at, duration, error, attempt.status, wait, bytes(attempt.answer), cut=attempt.cut)


class _Attempt:
    """One request; what of its answer has arrived stays when it breaks off."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.retry_after: str | None = None
        self.answer = bytearray()
        self.cut = False

    async def make(self, session: aiohttp.ClientSession, target: Target, event: str, content: str) -> None:
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
        async with session.post(
            target.url, data=content.encode(), headers=headers, allow_redirects=False, max_redirects=0
        ) as response:
            self.status = response.status
            self.retry_after = response.headers.get("Retry-After")
            self.cut = True
            while len(self.answer) < ANSWER_MOST:
                part = await response.content.read(ANSWER_MOST - len(self.answer))
                if not part:
                    break
                self.answer += part
            self.cut = not response.content.at_eof()
            if self.cut:
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
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())


def text_of(answer: bytes) -> str | None:
    """An answer as it is kept and shown; None when it was empty."""
    return answer.decode(errors="replace") or None
