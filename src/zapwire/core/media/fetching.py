"""Files from addresses that callers name: through the SSRF guard, bounded in size, time and redirects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from zapwire.core.network.ssrf_guard import Forbidden, SsrfGuard
from zapwire.model.errors import InvalidInput

REDIRECTS: Final = 5
WHOLE: Final = 600.0
"""Seconds for all of a file."""
STALLED: Final = 20.0
"""Seconds without a byte."""
SLOWEST: Final = 4096
"""Bytes a second below which a server is given up, after the first `STALLED` seconds."""
PIECE: Final = 1 << 18
FIELD: Final = "media.url"
_REDIRECT: Final = frozenset({301, 302, 303, 307, 308})
_LONGEST_NAME: Final = 255
_SLOW: Final = "cannot be fetched: its server is too slow"


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer that is being read."""

    pieces: AsyncIterator[bytes]
    file_name: str | None
    content_type: str
    """Without parameters, in small letters; what its server says."""
    charset: str | None


class Fetcher:
    """Asks for files."""

    def __init__(self, guard: SsrfGuard, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver

    @asynccontextmanager
    async def fetch(self, url: str, largest: int) -> AsyncIterator[Fetched]:
        """The file at *url*. Raises `InvalidInput` (field `media.url`) for whatever is wrong with it."""
        connector = aiohttp.TCPConnector(
            resolver=self._resolver, use_dns_cache=False, socket_factory=self._guard.open_socket, force_close=True
        )
        timeout = aiohttp.ClientTimeout(total=WHOLE, sock_connect=STALLED, sock_read=STALLED)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as session:
            answer = await self._follow(session, url)
            try:
                length = answer.content_length
                if length is not None and length > largest:
                    raise InvalidInput(f"the file there is larger than {largest >> 20} MB", field=FIELD)
                yield Fetched(_pieces(answer), _name(url), answer.content_type.lower(), answer.charset)
            finally:
                answer.close()

    async def _follow(self, session: aiohttp.ClientSession, url: str) -> aiohttp.ClientResponse:
        for _ in range(REDIRECTS + 1):
            _check_url(url)
            with _in_words():
                answer = await session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"})
            if answer.status not in _REDIRECT:
                break
            url = urljoin(url, answer.headers.get("Location", ""))
            answer.close()
        else:
            raise InvalidInput(f"cannot be fetched: more than {REDIRECTS} redirects", field=FIELD)
        if answer.status != 200:
            answer.close()
            raise InvalidInput(f"cannot be fetched: its server answered {answer.status}", field=FIELD)
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            answer.close()
            raise InvalidInput("cannot be fetched: its server compresses it", field=FIELD)
        return answer


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if host is None or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise InvalidInput("not an http or https address without user and password", field=FIELD)


async def _pieces(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    began, size = loop.time(), 0
    while True:
        with _in_words():
            piece = await answer.content.read(PIECE)
        if not piece:
            return
        size += len(piece)
        passed = loop.time() - began
        if passed > STALLED and size / passed < SLOWEST:
            raise InvalidInput(_SLOW, field=FIELD)
        yield piece


@contextmanager
def _in_words() -> Iterator[None]:
    """What can go wrong on the way, as `InvalidInput`."""
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        cause = error.os_error
        words = str(cause.strerror) if isinstance(cause, Forbidden) else "its server cannot be reached"
        raise InvalidInput(f"cannot be fetched: {words}", field=FIELD) from None
    except TimeoutError:
        raise InvalidInput(_SLOW, field=FIELD) from None
    except (aiohttp.ClientError, OSError):
        raise InvalidInput(
            "cannot be fetched: its server broke the connection or is no web server", field=FIELD
        ) from None


def _name(url: str) -> str | None:
    """The last part of the address' path, if it can be a file's name."""
    name = unquote(urlsplit(url).path.rpartition("/")[2], errors="replace")
    return name if name and len(name) <= _LONGEST_NAME and name.isprintable() and not {*name} & {*"/\\"} else None
