"""The socket of a companion that registers: the Noise handshake, then stanzas in both directions.

Source: whatsmeow's handshake.go, socket/framesocket.go.
"""

from __future__ import annotations

import time
from typing import Final

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from google.protobuf.message import DecodeError
from neonize.proto.waWa6.WAWebProtobufsWa6_pb2 import HandshakeMessage

from zapwire.transport.whatsapp_web.pairing.own.websocket import LONGEST_MESSAGE, SocketClosed, WebSocket
from zapwire.wire import binary, noise_certificate
from zapwire.wire.binary import BinaryError
from zapwire.wire.curve import KeyPair
from zapwire.wire.frames import FrameError, FrameReader, frame
from zapwire.wire.node import Node
from zapwire.wire.noise import HEADER, Cipher, Initiator, NoiseError, ServerHello

MOST_NODES: Final = 10_000
"""Parts of a stanza: none of a pairing has a hundredth of it."""


class NotGenuine(Exception):
    """What answers is not WhatsApp, or somebody in between changed something."""


class NoiseSocket:
    """An established one; one task reads."""

    def __init__(self, socket: WebSocket, frames: _Frames, read: Cipher, write: Cipher) -> None:
        self._socket = socket
        self._frames = frames
        self._read = read
        self._write = write

    @classmethod
    async def shake(cls, socket: WebSocket, static: KeyPair, payload: bytes, root: bytes) -> NoiseSocket:
        """Shake hands as the owner of *static*, who says *payload*; *root* signs WhatsApp's certificates.

        Raises `NotGenuine`, `SocketClosed`, OSError.
        """
        frames, side = _Frames(socket), Initiator(static)
        hello = HandshakeMessage(clientHello=HandshakeMessage.ClientHello(ephemeral=side.hello()))
        socket.send(HEADER + frame(hello.SerializeToString()))
        await socket.drain()
        try:
            answer = HandshakeMessage.FromString(await frames.next()).serverHello
            server_static, chain = side.answer(ServerHello(answer.ephemeral, answer.static, answer.payload))
            noise_certificate.check(chain, server_static, root, time.time())
        except (NoiseError, DecodeError) as error:
            raise NotGenuine(str(error)) from error
        key, sealed, read, write = side.finish(payload)
        finish = HandshakeMessage(clientFinish=HandshakeMessage.ClientFinish(static=key, payload=sealed))
        socket.send(frame(finish.SerializeToString()))
        await socket.drain()
        return cls(socket, frames, read, write)

    async def send(self, node: Node) -> None:
        """Send a stanza. Raises OSError."""
        # Nothing may be awaited between sealing and writing: the cipher counts.
        self._socket.send(frame(self._write.seal(binary.encode(node))))
        await self._socket.drain()

    async def next(self) -> Node:
        """The next stanza. Raises `NotGenuine`, `SocketClosed`, OSError."""
        try:
            opened = self._read.open(await self._frames.next())
            return binary.decode(opened, largest=LONGEST_MESSAGE, nodes=MOST_NODES)
        except (NoiseError, BinaryError) as error:
            raise NotGenuine(str(error)) from error

    async def close(self) -> None:
        """Close it."""
        await self._socket.close()


class _Frames:
    """The frames of a server's stream."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._reader = FrameReader(header=False, longest=LONGEST_MESSAGE)
        self._waiting: list[bytes] = []

    async def next(self) -> bytes:
        while not self._waiting:
            message = await self._socket.receive()
            try:
                self._waiting = list(self._reader.feed(message))
            except FrameError as error:
                raise SocketClosed("the stream holds no frames") from error
        return self._waiting.pop(0)
