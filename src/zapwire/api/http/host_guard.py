"""What a browser may do: no foreign page acts here, no rebound host name gets here, our pages load nothing foreign."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from zapwire.api.http.errors import Handler, HttpProblem
from zapwire.settings import Settings

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_NAME = re.compile(r"[a-z0-9.-]{1,253}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
}


class HostGuard:
    """Refuses foreign `Host` and `Origin` headers.

    On a loopback address any web page could otherwise reach us by DNS rebinding, so there the host names are known ones
    only. Elsewhere a name is as good as any other unless the setting `allowed_hosts` lists some.
    """

    def __init__(self, settings: Settings) -> None:
        self._allowed = frozenset(settings.allowed_hosts)
        self._loopback = _is_loopback(settings.listen.host)

    def check(self, request: web.Request) -> None:
        """Raise a problem when the request comes through a foreign name or from a foreign page."""
        host = _host_name(request.host)
        if not self._is_ours(host):
            hint = f"; if {host} should be one: ZAPWIRE_ALLOWED_HOSTS={host}" if _NAME.fullmatch(host) else ""
            raise HttpProblem(
                421,
                "foreign-origin",
                f"the host is not a name of this daemon{hint}",
                field="Host",
                title="Misdirected request",
            )
        origin = request.headers.get("Origin")
        upgrade = request.headers.get("Upgrade", "").lower() == "websocket"
        acts = request.method not in _SAFE or upgrade
        if acts and origin is not None and not _same_place(origin, request.host):
            raise HttpProblem(403, "foreign-origin", "pages of another origin may not do that", field="Origin")

    def _is_ours(self, host: str) -> bool:
        if host in self._allowed:
            return True
        if self._loopback:
            return _is_loopback(host)
        return not self._allowed or _is_address(host)


def guard_middleware(guard: HostGuard) -> Middleware:
    """Check before anything else."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        guard.check(request)
        return await handler(request)

    return middleware


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: put the security headers on every answer that does not set its own."""
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.popall("Server", None)


def _same_place(origin: str, host: str) -> bool:
    """Whether a page of *origin* came from the host that it asks now; a port that goes without saying may be said.

    What is before us may speak TLS, so the scheme is the page's.
    """
    scheme, _, place = origin.lower().partition("://")
    port = _DEFAULT_PORTS.get(scheme, "")
    return bool(place) and place.removesuffix(port) == host.lower().removesuffix(port)


@lru_cache(maxsize=64)
def _host_name(host: str) -> str:
    """The name without the port; of what is no host the whole, which then is not one of ours."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=64)
def _is_loopback(host: str) -> bool:
    return (
        host == "localhost"
        or host.endswith(".localhost")
        or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    )
