"""The requests of one endpoint, with all that is the same in each of them made once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Final

import aiohttp
from yarl import URL

import zapwire
from zapwire.core.webhooks.renderers import DEFAULT, RENDERERS, Renderer
from zapwire.core.webhooks.signing import Signer
from zapwire.model.events import Event

_USER_AGENT: Final = f"zapwire/{zapwire.__version__}"


class PreparedRequest:
    """Where deliveries of one endpoint go, how they are rendered and signed, and with which *headers* of its own.

    *url* is parsed at the first delivery, which fails with `ValueError` when it cannot be.
    """

    def __init__(
        self,
        url: str,
        signer: Signer,
        headers: Mapping[str, str] | None = None,
        render: Renderer = RENDERERS[DEFAULT],
    ) -> None:
        self._url = url
        self._signer = signer
        self._render = render
        self._own = {"User-Agent": _USER_AGENT}
        for name, value in (headers or {}).items():
            self._own = {other: kept for other, kept in self._own.items() if other.lower() != name.lower()}
            self._own[name] = value

    @cached_property
    def address(self) -> aiohttp.ClientRequest:
        """Where to connect to, for aiohttp's connector. Raises `ValueError`."""
        return aiohttp.ClientRequest("POST", URL(self._url))

    @cached_property
    def _start(self) -> bytes:
        request = self.address
        return f"POST {request.url.raw_path_qs} HTTP/1.1\r\n{_line('Host', request.headers['Host'])}".encode()

    @cached_property
    def _head(self) -> bytes:
        """The request line and the headers that are in every request, unless a format has some of its own."""
        return self._start + _lines(self._own)

    def encode(self, event: Event, moment: datetime) -> bytes:
        """The whole request that delivers *event*, signed as of *moment*. Raises `ValueError` for what breaks lines."""
        rendered = self._render(event)
        body, content_type, further = rendered.body, rendered.content_type, rendered.headers
        if not (event.id + content_type).isprintable():
            raise ValueError("a header with a control character")
        head = (
            f"Accept-Encoding: identity\r\nContent-Length: {len(body)}\r\nContent-Type: {content_type}\r\n"
            f"webhook-id: {event.id}\r\nwebhook-timestamp: {int(moment.timestamp())}\r\n"
            f"webhook-signature: {self._signer.sign(event.id, moment, body)}\r\n\r\n"
        )
        return b"".join((self._head_with(further) if further else self._head, head.encode(), body))

    def _head_with(self, further: Mapping[str, str]) -> bytes:
        names = {name.lower() for name in further}
        own = {name: value for name, value in self._own.items() if name.lower() not in names}
        return self._start + _lines(own | dict(further))


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(_line(name, value) for name, value in headers.items()).encode()


def _line(name: str, value: str) -> str:
    if "\r" in name + value or "\n" in name + value or "\0" in name + value:
        raise ValueError("a header with a line break")
    return f"{name}: {value}\r\n"
