"""HTTP to WhatsApp's media hosts, over the lines that everything of ours takes: as a stream both ways.

HTTP/1.0: an answer then ends with its connection or after `Content-Length`, and is not cut into chunks. Written here as
HTTP libraries dial by themselves, and the way to WhatsApp (a bot's proxy, the sandbox) is `LineMaker`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

from zapwire.model.errors import TransportError
from zapwire.model.proxy import Proxy
from zapwire.transport.whatsapp_web.network.line import Line, LineMaker

T = TypeVar("T")

PIECE: Final = 1 << 18
"""Bytes that are read or written at a time."""
STALLED: Final = 30.0
"""Seconds without a byte after which a transfer has failed."""
SLOWEST: Final = 4096
"""Bytes a second below which a transfer is given up, after the first `STALLED` seconds."""
_AGENT: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
_ORIGIN: Final = "https://web.whatsapp.com"


class BrokenTransfer(TransportError):
    """The connection broke, or what answered was no HTTP; it may be tried again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The head of an answer; `pieces` is its body."""

    status: int
    fields: Mapping[str, str]
    """By name in small letters."""
    line: Line

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it comes. Raises `BrokenTransfer` when it ends early or stalls."""
        length = self.fields.get("content-length", "")
        left = int(length) if length.isdecimal() and len(length) < 20 else None
        began, size = time.monotonic(), 0
        while left is None or left > 0:
            piece = await _in_time(self.line.reader.read(PIECE if left is None else min(PIECE, left)))
            if not piece:
                if left is None:
                    return
                raise BrokenTransfer("WhatsApp's media host broke the connection off")
            left = None if left is None else left - len(piece)
            size += len(piece)
            passed = time.monotonic() - began
            if passed > STALLED and size / passed < SLOWEST:
                raise BrokenTransfer("WhatsApp's media host is too slow")
            yield piece

    async def body(self, most: int) -> bytes:
        """All of a body of at most so many bytes. Raises `BrokenTransfer`."""
        found = bytearray()
        async for piece in self.pieces():
            found += piece
            if len(found) > most:
                raise BrokenTransfer("WhatsApp's media host answered with too much")
        return bytes(found)


@asynccontextmanager
async def request(
    lines: LineMaker,
    proxy: Proxy | None,
    method: str,
    host: str,
    target: str,
    *,
    fields: Mapping[str, str] | None = None,
    body: AsyncIterator[bytes] | None = None,
) -> AsyncIterator[Answer]:
    """Ask *host* for *target*; *fields* has the length of a *body*. Raises `BrokenTransfer`, `Unreachable`."""
    line = await lines.dial(proxy, host)
    try:
        head = {"Host": host, "User-Agent": _AGENT, "Origin": _ORIGIN, "Referer": f"{_ORIGIN}/", **(fields or {})}
        told = "".join(f"{field}: {value}\r\n" for field, value in head.items())
        line.writer.write(f"{method} {target} HTTP/1.0\r\n{told}Connection: close\r\n\r\n".encode())
        if body is not None:
            async for piece in body:
                line.writer.write(piece)
                await _in_time(line.writer.drain())
        await _in_time(line.writer.drain())
        yield await _head(line)
    finally:
        await line.close()


async def _head(line: Line) -> Answer:
    try:
        head = await _in_time(line.reader.readuntil(b"\r\n\r\n"))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise BrokenTransfer("WhatsApp's media host did not answer with HTTP") from error
    first, *rest = head.decode("latin-1").split("\r\n")
    version, _, after = first.partition(" ")
    if not version.startswith("HTTP/1.") or not after[:3].isdecimal():
        raise BrokenTransfer("WhatsApp's media host did not answer with HTTP")
    fields = {name.strip().lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
    return Answer(int(after[:3]), fields, line)


async def _in_time(step: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout(STALLED):
            return await step
    except TimeoutError:
        raise BrokenTransfer("WhatsApp's media host does not go on") from None
    except OSError as error:
        raise BrokenTransfer("the connection to WhatsApp's media host broke") from error
