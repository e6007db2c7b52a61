"""Is there a way to WhatsApp at all?

Asked before the engine's first dial: each of its starts leaks file descriptors (docs/engine.md's E8), and a bot without
network tries for days. Only a TCP connection to the server, or to the proxy that leads to it, is made.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from zapwire.model.errors import Condition, TransportError
from zapwire.runtime.tasks import spawn
from zapwire.transport.whatsapp_web.engine.dial_errors import Unreachable, unreachable

HOST: Final = "web.whatsapp.com"
PORT: Final = 443
DEADLINE: Final = 10.0
CLOSED_FIRST: Final = 2.0
"""Seconds for which a failed dial speaks for all bots; doubled with every further one."""
CLOSED_MOST: Final = 60.0


class NetworkPath:
    """The one way to WhatsApp that all bots of the process share.

    Bots that ask together are answered by one look: each name lookup takes one of asyncio's few threads, and one that
    hangs would take them all. When TCP works but the engine's dial fails (a network's login page, a wrong certificate),
    the next bots are told that failure for a while instead of dialling too, which costs descriptors.
    """

    def __init__(self, proxy: str | None, what: str = "WhatsApp") -> None:
        """*what* is at the other end of a TCP connection, in words."""
        self._what = what
        self._proxy = proxy
        self._look: asyncio.Task[None] | None = None
        self._failures = 0
        self._closed_until = 0.0
        self._why = ""

    async def check(self) -> None:
        """Raise `TransportError` in plain words when there is no way to WhatsApp."""
        now = time.monotonic()
        if now < self._closed_until:
            raise Unreachable(self._why)
        if self._failures:  # this bot tries for all; the others are told the old failure until it knows
            self._closed_until = now + DEADLINE
        look = self._look
        if look is None or look.done():
            look = self._look = spawn(check(self._proxy, self._what), "look for WhatsApp", awaited=True)
            look.add_done_callback(_seen)  # those who asked may all have been stopped
        # Not awaited itself: a bot that is stopped must not take the look away from the others.
        await asyncio.wait([look])
        look.result()

    def dial_failed(self, error: TransportError) -> None:
        """The engine's dial failed although `check` found a way."""
        self._closed_until = time.monotonic() + min(CLOSED_FIRST * 2**self._failures, CLOSED_MOST)
        self._failures = min(self._failures + 1, 30)
        self._why = error.detail

    def dial_worked(self) -> None:
        """The engine has reached WhatsApp."""
        self._failures = 0
        self._closed_until = 0.0

    async def close(self) -> None:
        """End a look under way."""
        if self._look is not None:
            self._look.cancel()
            with suppress(asyncio.CancelledError, TransportError):
                await self._look


def _seen(look: asyncio.Task[None]) -> None:
    if not look.cancelled():
        look.exception()


def way(proxy: str | None) -> tuple[str, int]:
    """Host and port that the engine dials: *proxy*, the environment's proxy, or WhatsApp itself.

    Raises `TransportError` when the proxy's address makes no sense; it may hold a password, so it is not repeated.
    """
    if proxy is None and not proxy_bypass(HOST):
        proxy = getproxies().get("https")
    if not proxy:
        return HOST, PORT
    try:
        parts = urlsplit(proxy if "//" in proxy else "//" + proxy)
        host, port = parts.hostname, parts.port
    except ValueError:
        message = "WhatsApp cannot be reached: the address of the proxy (HTTPS_PROXY) is not valid"
        raise TransportError(message) from None
    return host or HOST, port or (443 if parts.scheme == "https" else 80)


async def check(proxy: str | None, what: str = "WhatsApp") -> None:
    """Raise `TransportError` in plain words when there is no way to WhatsApp."""
    host, port = way(proxy)
    try:
        async with asyncio.timeout(DEADLINE):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise unreachable("timeout", what) from None
    except socket.gaierror:
        raise unreachable("no such host", what) from None
    except OSError as error:
        if error.errno in {errno.EMFILE, errno.ENFILE}:
            message = "no file descriptors are left: renew the daemon (kill -USR2), or raise the limit"
            raise TransportError(message, condition=Condition.STORE) from None
        raise unreachable(_words(error), what) from None
    writer.close()


def _words(error: OSError) -> str:
    """The system's words; asyncio puts its own in their place, and joins several errors to one without a number."""
    number = error.errno or next(map(int, re.findall(r"Errno (\d+)", str(error))), 0)
    return os.strerror(number) if number else str(error)
