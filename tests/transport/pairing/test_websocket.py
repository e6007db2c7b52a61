"""Our WebSocket against a server that says anything at all."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zapwire.transport.whatsapp_web.network.line import Line
from zapwire.transport.whatsapp_web.pairing.own.websocket import LONGEST_MESSAGE, NotUpgraded, SocketClosed, WebSocket

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


def agreed(head: bytes, *fields: str) -> bytes:
    key = re.search(rb"Sec-Websocket-Key: (\S+)", head)
    assert key is not None
    accept = base64.b64encode(hashlib.sha1(key[1] + GUID).digest()).decode()
    lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", *fields]
    return "\r\n".join([*lines, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode()


Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def line_to(
    answer: Answer, *, more: Callable[[asyncio.StreamReader], Awaitable[None]] | None = None
) -> AsyncIterator[Line]:
    """A line to a server that gives *answer* to the head, and closes."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
        if more is not None:
            await more(reader)
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1") as server:
        host, port = server.sockets[0].getsockname()
        line = Line(*await asyncio.open_connection(host, port))
        try:
            yield line
        finally:
            await line.close()
            await ended.wait()


async def received(*frames: bytes, fields: tuple[str, ...] = ()) -> bytes:
    """The first message that comes out of these frames."""
    async with line_to(lambda head: agreed(head, *fields) + b"".join(frames)) as line:
        socket = await WebSocket.open(line, "web.whatsapp.com", "/ws/chat")
        return await socket.receive()


def frame(payload: bytes, first: int = 0x82) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
async def test_a_message_of_any_size_comes_whole_in_one_frame_or_many(size: int):
    message = bytes(size)
    assert await received(frame(message)) == message
    half = size // 2
    ping = frame(b"?", 0x89)
    assert await received(frame(message[:half], 0x02), ping, frame(message[half:], 0x80)) == message


def packed(*messages: bytes, fresh: bool = False) -> list[bytes]:
    window = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    frames = []
    for message in messages:
        if fresh:
            window = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = window.compress(message) + window.flush(zlib.Z_SYNC_FLUSH)
        frames.append(frame(data.removesuffix(b"\0\0\xff\xff"), 0xC2))
    return frames


@pytest.mark.parametrize("fresh", [False, True])
async def test_compressed_messages_are_unpacked(fresh: bool):
    fields = (DEFLATE + ("; server_no_context_takeover" if fresh else ""),)
    frames = packed(b"hello " * 50, b"hello again", fresh=fresh)
    async with line_to(lambda head: agreed(head, *fields) + b"".join(frames)) as line:
        socket = await WebSocket.open(line, "web.whatsapp.com", "/ws/chat")
        assert [await socket.receive(), await socket.receive()] == [b"hello " * 50, b"hello again"]


async def test_a_flood_of_pings_is_no_message():
    with pytest.raises((SocketClosed, OSError)):
        await received(frame(b"?", 0x89) * 10_001, frame(b"x"))


async def test_what_follows_a_last_block_is_unpacked_too():
    frames = []
    for message in (b"first", b"second"):
        window = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        frames.append(frame(window.compress(message) + window.flush() + b"\0", 0xC2))
    async with line_to(lambda head: agreed(head, DEFLATE) + b"".join(frames)) as line:
        socket = await WebSocket.open(line, "web.whatsapp.com", "/ws/chat")
        assert [await socket.receive(), await socket.receive()] == [b"first", b"second"]


@pytest.mark.parametrize(
    ("frames", "fields"),
    [
        ([bytes((0x82, 127)) + (1 << 62).to_bytes(8, "big")], ()),
        ([frame(bytes(LONGEST_MESSAGE // 2), 0x02), frame(bytes(LONGEST_MESSAGE // 2 + 1), 0x80)], ()),
        ([bytes((0x82, 0x81)) + b"mask?"], ()),
        ([frame(b"x", 0xC2)], ()),
        ([frame(b"x", 0xA2)], ()),
        ([frame(b"x", 0x83)], ()),
        ([frame(b"x", 0x80)], ()),
        ([frame(b"x", 0x02), frame(b"x", 0x82)], ()),
        ([frame(b"x", 0x09)], ()),
        ([frame(bytes(126), 0x89)], ()),
        ([frame(b"\x03\xe8", 0x88)], ()),
        ([], ()),
        ([frame(b"\xff\xff\xff", 0xC2)], (DEFLATE,)),
        (packed(bytes(50 * LONGEST_MESSAGE)), (DEFLATE,)),
        ([], ("Sec-WebSocket-Extensions: x-webkit-deflate-frame",)),
        ([], (DEFLATE + "; server_max_window_bits=8",)),
    ],
)
async def test_what_is_no_message_or_too_long_ends_it(frames: list[bytes], fields: tuple[str, ...]):
    with pytest.raises(SocketClosed):
        await received(*frames, fields=fields)


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_the_end(junk: bytes):
    async def hear() -> None:
        async with line_to(lambda head: agreed(head, DEFLATE) + junk) as line:
            socket = await WebSocket.open(line, "web.whatsapp.com", "/ws/chat")
            while True:
                await socket.receive()

    with pytest.raises((SocketClosed, ConnectionError)):
        asyncio.run(hear())


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "400"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlogin", "200"),
        (b"\xff\xfe nonsense\r\n\r\n", ""),
    ],
)
async def test_an_answer_that_is_no_websocket_is_told(answer: bytes, status: str):
    async with line_to(lambda _: answer) as line:
        with pytest.raises(NotUpgraded) as refused:
            await WebSocket.open(line, "web.whatsapp.com", "/ws/chat")
    assert refused.value.status == status


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 101 Switching", b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n", bytes(200_000)]
)
async def test_half_an_answer_or_a_wrong_one_is_the_end(answer: bytes):
    async with line_to(lambda _: answer) as line:
        with pytest.raises((SocketClosed, ConnectionError)):
            await WebSocket.open(line, "web.whatsapp.com", "/ws/chat")


@pytest.mark.parametrize("size", [0, 5, 125, 126, 70_000])
async def test_what_is_sent_is_masked_and_pings_are_answered(size: int):
    heard: list[bytes] = []

    async def read(reader: asyncio.StreamReader) -> None:
        for _ in range(2):
            _first, second = await reader.readexactly(2)
            length = second & 127
            if length >= 126:
                length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
            mask = await reader.readexactly(4)
            assert second & 128
            payload = await reader.readexactly(length)
            heard.append(bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))

    async with line_to(lambda head: agreed(head) + frame(b"!", 0x89) + frame(b"m"), more=read) as line:
        socket = await WebSocket.open(line, "web.whatsapp.com", "/ws/chat")
        assert await socket.receive() == b"m"
        socket.send(bytes(size))
        await socket.drain()
    assert heard == [b"!", bytes(size)]
