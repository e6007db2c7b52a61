"""Is there a way to WhatsApp at all?

Asked before the engine's first dial: each of its starts leaks file descriptors (docs/engine.md's E8), and a bot without
network tries for days. Only a TCP connection to the server, or to the proxy that leads to it, is made.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from zapwire.transport.whatsapp_web import conditions

HOST: Final = "web.whatsapp.com"
PORT: Final = 443
DEADLINE: Final = 10.0


def way(proxy: str | None) -> tuple[str, int]:
    """Host and port that the engine dials: *proxy*, the environment's proxy, or WhatsApp itself."""
    if proxy is None and not proxy_bypass(HOST):
        proxy = getproxies().get("https")
    if not proxy:
        return HOST, PORT
    parts = urlsplit(proxy if "//" in proxy else "//" + proxy)
    return parts.hostname or HOST, parts.port or (443 if parts.scheme == "https" else 80)


async def check(proxy: str | None) -> None:
    """Raise `TransportError` in plain words when there is no way to WhatsApp."""
    host, port = way(proxy)
    try:
        async with asyncio.timeout(DEADLINE):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        raise conditions.unreachable("timeout") from None
    except socket.gaierror:
        raise conditions.unreachable("no such host") from None
    except OSError as error:
        raise conditions.unreachable(_words(error)) from None
    writer.close()


def _words(error: OSError) -> str:
    """The system's words; asyncio puts its own in their place, and joins several errors to one without a number."""
    number = error.errno or next(map(int, re.findall(r"Errno (\d+)", str(error))), 0)
    return os.strerror(number) if number else str(error)
