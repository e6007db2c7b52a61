"""Asks WhatsApp's web page which revision of its client is the newest.

The page's service worker names it (`client_revision` in https://web.whatsapp.com/sw.js), which is where other libraries
read it, too. What is answered is a stranger's: it is read up to 1 MB, and only a number that can be a revision counts.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from zapwire.model.errors import TransportError
from zapwire.model.proxy import Proxy
from zapwire.transport.whatsapp_web.engine.private.announced_version import REVISIONS
from zapwire.transport.whatsapp_web.network.line import LONGEST_HEAD, Line, LineMaker
from zapwire.transport.whatsapp_web.network.preflight import HOST

DEADLINE: Final = 20.0
MOST: Final = 1 << 20
"""Bytes of the answer that are read; the real one has some 10,000."""
_REQUEST: Final = (
    # HTTP/1.0: the answer then ends with the connection, and is not cut into chunks.
    f"GET /sw.js HTTP/1.0\r\nHost: {HOST}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
    "Sec-Fetch-Dest: serviceworker\r\nSec-Fetch-Site: same-origin\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
    "Safari/537.36\r\nConnection: close\r\n\r\n"
)
_REVISION: Final = re.compile(rb'\\?"client_revision\\?":\s{0,8}([0-9]{1,12})\b')


class NoRevision(TransportError):
    """The page could not be asked, or named no revision; the detail says why."""


async def ask(lines: LineMaker, proxy: Proxy | None) -> int:
    """The newest revision, one of `REVISIONS`; through *proxy*, or the way of all bots. Raises `NoRevision`."""
    try:
        async with asyncio.timeout(DEADLINE):
            line = await lines.dial(proxy)
            try:
                return _read(*await _get(line))
            finally:
                await line.close()
    except TimeoutError:
        raise NoRevision("WhatsApp's web page did not answer in time") from None
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        raise NoRevision("WhatsApp's web page cut the connection") from None
    except TransportError as error:
        raise NoRevision(error.detail) from None


async def _get(line: Line) -> tuple[bytes, bytes]:
    line.writer.write(_REQUEST.encode())
    await line.writer.drain()
    head = await line.reader.readuntil(b"\r\n\r\n")
    body = bytearray()
    while piece := await line.reader.read(LONGEST_HEAD):
        body += piece
        if len(body) > MOST:
            raise NoRevision(f"WhatsApp's web page answered with more than {MOST} bytes")
    return head, bytes(body)


def _read(head: bytes, body: bytes) -> int:
    status = head.partition(b" ")[2][:3]
    if status != b"200":
        shown = status.decode() if status.isdigit() else "no HTTP"
        raise NoRevision(f"WhatsApp's web page answered {shown} instead of its service worker")
    found = _REVISION.search(body)
    if found is None:
        raise NoRevision("WhatsApp's web page names no revision; perhaps a login page of the network answered")
    revision = int(found[1])
    if revision not in REVISIONS:
        raise NoRevision("WhatsApp's web page names a revision that cannot be one")
    return revision
