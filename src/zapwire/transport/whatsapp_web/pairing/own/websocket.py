"""A WebSocket as the engine opens one: the same head, byte for byte in the same order, over a line that stands already.

RFC 6455, client's side, and RFC 7692 (permessage-deflate) for what comes in: what goes out is never compressed, which
the RFC allows. Written here because HTTP libraries write heads of their own, and what a server sees is to be what the
engine shows (Go's net/http and coder/websocket, as recorded in tests/wire/vectors).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import zlib
from collections.abc import Callable
from typing import Final

from zapwire.transport.whatsapp_web.network.line import LONGEST_HEAD, Line

LONGEST_MESSAGE: Final = 1 << 20
"""Bytes of a message, unpacked: no stanza of a pairing is a tenth of it."""

MOST_FRAMES: Final = 10_000
"""Of one message, with pings in between."""

_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_FINAL, _COMPRESSED, _RESERVED, _MASKED = 0x80, 0x40, 0x30, 0x80
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_EXTENSION: Final = "permessage-deflate"
_PARAMETERS: Final = frozenset({"server_no_context_takeover", "client_no_context_takeover"})
_TAIL: Final = b"\x00\x00\xff\xff"


class SocketClosed(Exception):
    """The other side closed the line, or said something that is no WebSocket."""


class NotUpgraded(SocketClosed):
    """The server answered the request with something else than a WebSocket."""

    def __init__(self, status: str) -> None:
        super().__init__("no WebSocket")
        self.status = status
        """Of its answer, three digits; empty when it was no HTTP."""


class WebSocket:
    """An open one; one task reads, any number write."""

    def __init__(self, line: Line, inflate: Callable[[bytes], bytes] | None) -> None:
        self._line = line
        self._inflate = inflate

    @classmethod
    async def open(cls, line: Line, host: str, path: str) -> WebSocket:
        """Ask for one on *line*. Raises `NotUpgraded`, `SocketClosed`, OSError."""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        line.writer.write(_request(host, path, key).encode())
        await line.writer.drain()
        try:
            head = await line.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise SocketClosed("the server did not answer with HTTP") from error
        return cls(line, _agreed(head[:LONGEST_HEAD].decode("latin-1"), key))

    def send(self, message: bytes) -> None:
        """Write a binary message. Without waiting, so that the order of calls is the order on the wire."""
        self._write(_BINARY, message)

    async def drain(self) -> None:
        """Wait until what was written may be on its way. Raises OSError."""
        await self._line.writer.drain()

    async def receive(self) -> bytes:
        """The next binary message. Raises `SocketClosed`, OSError."""
        message, compressed = bytearray(), None
        for _ in range(MOST_FRAMES):
            first, payload = await self._frame(LONGEST_MESSAGE - len(message))
            code = first & 0x0F
            if code >= _CLOSE:
                self._control(code, payload)
                await self.drain()  # who sends pings and reads no pong fills no memory
                continue
            if (compressed is None) is (code == _CONTINUATION) or code not in {_CONTINUATION, _TEXT, _BINARY}:
                raise SocketClosed("frames in the wrong order")
            if compressed is None:
                compressed = bool(first & _COMPRESSED)
            message += payload
            if first & _FINAL:
                return self._unpack(bytes(message)) if compressed else bytes(message)
        raise SocketClosed("a message has too many frames")

    async def close(self) -> None:
        """Say goodbye and close the line."""
        self._write(_CLOSE, (1000).to_bytes(2, "big"))
        await self._line.close()

    async def _frame(self, room: int) -> tuple[int, bytes]:
        first, second = await self._read(2)
        if first & _RESERVED or second & _MASKED or (first & _COMPRESSED and self._inflate is None):
            raise SocketClosed("not a frame of a server")
        size = second
        if size >= 126:
            size = int.from_bytes(await self._read(2 if size == 126 else 8), "big")
        control = first & 0x0F >= _CLOSE
        if size > (125 if control else room) or (control and not first & _FINAL):
            raise SocketClosed("a frame is too long")
        return first, await self._read(size)

    async def _read(self, size: int) -> bytes:
        try:
            return await self._line.reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise SocketClosed("the server closed the connection") from error

    def _control(self, code: int, payload: bytes) -> None:
        if code == _CLOSE:
            raise SocketClosed("the server closed the connection")
        if code == _PING:
            self._write(_PONG, payload)

    def _unpack(self, message: bytes) -> bytes:
        if self._inflate is None:
            raise SocketClosed("a compressed message was not agreed on")
        return self._inflate(message)

    def _write(self, code: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = bytes((_FINAL | code, _MASKED | size))
        elif size < 1 << 16:
            head = bytes((_FINAL | code, _MASKED | 126)) + size.to_bytes(2, "big")
        else:
            head = bytes((_FINAL | code, _MASKED | 127)) + size.to_bytes(8, "big")
        mask = secrets.token_bytes(4)
        self._line.writer.write(head + mask + _masked(payload, mask))


def _masked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    pattern = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def _request(host: str, path: str, key: str) -> str:
    return (
        f"GET {path} HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        "User-Agent: Go-http-client/1.1\r\n"
        "Cache-Control: no-cache\r\n"
        "Connection: Upgrade\r\n"
        f"Origin: https://{host}\r\n"
        "Pragma: no-cache\r\n"
        f"Sec-Websocket-Extensions: {_EXTENSION}\r\n"
        f"Sec-Websocket-Key: {key}\r\n"
        "Sec-Websocket-Version: 13\r\n"
        "Upgrade: websocket\r\n"
        "Accept-Encoding: gzip\r\n"
        "\r\n"
    )


def _agreed(head: str, key: str) -> Callable[[bytes], bytes] | None:
    """How messages are unpacked, if the server compresses them. Raises `SocketClosed`."""
    first, *lines = head.split("\r\n")
    version, _, rest = first.partition(" ")
    if not version.startswith("HTTP/1.") or rest[:3] != "101":
        raise NotUpgraded(rest[:3] if version.startswith("HTTP/") and rest[:3].isdecimal() else "")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    accept = base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()  # noqa: S324 - RFC 6455 says so
    if fields.get("upgrade", "").lower() != "websocket" or fields.get("sec-websocket-accept") != accept:
        raise SocketClosed("the server agreed to something else than this WebSocket")
    return _inflater(fields.get("sec-websocket-extensions", ""))


def _inflater(extensions: str) -> Callable[[bytes], bytes] | None:
    if not extensions:
        return None
    name, *parameters = [part.strip() for part in extensions.split(";")]
    if name != _EXTENSION or not set(parameters) <= _PARAMETERS:
        raise SocketClosed("the server chose an extension that was not offered")
    fresh = "server_no_context_takeover" in parameters
    window = [zlib.decompressobj(-zlib.MAX_WBITS)]

    def inflate(message: bytes) -> bytes:
        if fresh:
            window[0] = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = window[0].decompress(message + _TAIL, LONGEST_MESSAGE + 1)
        except zlib.error as error:
            raise SocketClosed("a message does not unpack") from error
        if len(data) > LONGEST_MESSAGE or window[0].unconsumed_tail:
            raise SocketClosed("a message is too long")
        if window[0].eof:  # a last block (RFC 7692, 7.2.3.5): what follows is a stream of its own
            window[0] = zlib.decompressobj(-zlib.MAX_WBITS)
        return data

    return inflate
