"""One client's socket: handshake, then stanzas in both directions.

Sealing counts frames, so exactly one task seals and writes; everything else puts stanzas in its bounded queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine
from typing import Any, Final, TypeAlias

from aiohttp import WSMsgType, web
from google.protobuf.message import DecodeError

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waWa6 import WAWebProtobufsWa6_pb2 as wa6

from zapwire.sandbox.server.network import login
from zapwire.sandbox.server.state.noise_identity import NoiseIdentity
from zapwire.sandbox.server.state.statistics import kind_of
from zapwire.sandbox.server.world import World
from zapwire.wire import binary
from zapwire.wire.frames import FrameError, FrameReader, OtherDictionary, frame
from zapwire.wire.node import Node
from zapwire.wire.noise import Cipher, NoiseError, Responder, ResumedResponder

log = logging.getLogger(__name__)

QUEUE: Final = 2048
STALLED_SECONDS: Final = 30.0
SETTLE_SECONDS: Final = 0.05
"""Older clients subscribe to stanzas some milliseconds after the handshake and would miss the first one."""
GOODBYE_SECONDS: Final = 0.5
"""whatsmeow can lose a failure or stream error when the socket closes right behind it."""
MAX_MESSAGE: Final = 32 * 1024 * 1024

Socket: TypeAlias = web.WebSocketResponse


class Closed(Exception):
    """The client is gone, or said something that is not the protocol."""


class ClientSocket:
    """A client's socket; an Endpoint once it is logged in."""

    def __init__(self, world: World, request: web.Request, socket: Socket) -> None:
        self.world = world
        self.phone = ""
        self.device_number: int | None = None
        self.host = request.host
        self._request = request
        self._socket = socket
        self._frames = FrameReader()
        self._incoming: list[bytes] = []
        self._outgoing: asyncio.Queue[Node] = asyncio.Queue(QUEUE)
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._overflowed = False
        self._pings: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._write: Cipher | None = None
        self._ending = False
        self.entered = False
        """The client has said that it is active: it is connected from its point of view."""

    # ---- the Endpoint's side

    async def deliver(self, node: Node) -> None:
        """Queue a stanza for the client. A client that reads nothing for 30 s is cut off."""
        if self._socket.closed or self._ending or (self.entered and not self._may_pass(node)):
            return
        if not self._flowing.is_set() and self._outgoing.full():
            self._overflowed = True
            return
        try:
            async with asyncio.timeout(STALLED_SECONDS):
                await self._outgoing.put(node)
        except TimeoutError:
            log.warning("a client reads too slowly, its socket is closed")
            self.abort()

    async def end(self, node: Node) -> None:
        """Send a last stanza and close half a second later."""
        if not self._ending:
            await self.deliver(node)
            self._ending = True
            self._spawn(self._close_soon(), "sandbox goodbye")

    def abort(self) -> None:
        """Cut the socket without a word."""
        self._ending = True
        if self._request.transport is not None:
            self._request.transport.abort()

    def forget(self) -> None:
        """Know nothing of this client any more, and leave its socket open: nothing is read or written again."""
        self._ending = True
        self.freeze()
        account = self.world.accounts.get(self.phone)
        if account is not None and self.device_number is not None:
            self.world.detach(account, self.device_number, self)

    def ignores(self, node: Node) -> bool:
        """Is this stanza of the client not heard, because of a fault?"""
        return self.entered and not self._may_pass(node)

    def _may_pass(self, node: Node) -> bool:
        """A deaf server still answers keep-alives; an answer bears the mark of its question only by its id."""
        if not self.world.faults.is_deaf(self.phone):
            return True
        if node.text("xmlns") == "w:p":
            self._pings.add(node.text("id"))
        return node.text("id") in self._pings or node.tag in {"failure", "stream:error", "success"}

    def freeze(self) -> None:
        """Read and write nothing from now on."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Go on; a client that missed stanzas is cut off, so that it comes back for them."""
        self._flowing.set()
        if self._overflowed:
            self.abort()

    # ---- its life

    async def run(self, identity: NoiseIdentity, registration_seconds: float) -> None:
        """Serve the client until either side ends it."""
        self.world.statistics.connections += 1
        self.world.faults.connections.add(self)
        if self.world.faults.is_frozen(self.phone):
            self.freeze()
        try:
            client_static, payload, read = await self._handshake(identity)
            self._spawn(self._write_all(), "sandbox write")
            await asyncio.sleep(SETTLE_SECONDS)
            await login.enter(self, client_static, payload, read, registration_seconds)
        except OtherDictionary as error:
            log.warning("a client was turned away: %s", error)
        except (Closed, NoiseError, FrameError, binary.BinaryError, DecodeError, ConnectionError) as error:
            log.debug("connection ended: %s", error)
        finally:
            self.world.faults.connections.discard(self)
            self._ending = True
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _handshake(self, identity: NoiseIdentity) -> tuple[bytes, wa6.ClientPayload, Cipher]:
        first = wa6.HandshakeMessage.FromString(await self._next_frame()).clientHello
        resumes = bool(first.static and first.payload)
        if resumes:
            resumed = ResumedResponder(identity.static, identity.chain())
            with contextlib.suppress(NoiseError):  # made for another key: go on as XXfallback
                static, payload = resumed.read(first.ephemeral, first.static, first.payload)
                ephemeral, sealed, read, self._write = resumed.answer()
                await self._say_hello(wa6.HandshakeMessage.ServerHello(ephemeral=ephemeral, payload=sealed))
                return static, wa6.ClientPayload.FromString(payload), read
        responder = Responder(identity.static, identity.chain(), fallback=resumes)
        hello = responder.hello(first.ephemeral)
        await self._say_hello(
            wa6.HandshakeMessage.ServerHello(ephemeral=hello.ephemeral, static=hello.static, payload=hello.payload)
        )
        last = wa6.HandshakeMessage.FromString(await self._next_frame()).clientFinish
        static, payload, read, self._write = responder.finish(last.static, last.payload)
        return static, wa6.ClientPayload.FromString(payload), read

    async def _say_hello(self, hello: wa6.HandshakeMessage.ServerHello) -> None:
        await self._socket.send_bytes(frame(wa6.HandshakeMessage(serverHello=hello).SerializeToString()))

    async def next_node(self, read: Cipher) -> Node:
        """The client's next stanza; raises Closed when there is none any more."""
        node = binary.decode(read.open(await self._next_frame()))
        self.world.trace.note("in", node)
        return node

    async def _next_frame(self) -> bytes:
        while not self._incoming:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                raise Closed("the client closed the socket")
            self._incoming.extend(self._frames.feed(message.data))
        await self._flowing.wait()
        if pause := self.world.faults.pause(self.phone, len(self._incoming[0])):
            await asyncio.sleep(pause)
        return self._incoming.pop(0)

    async def _write_all(self) -> None:
        while True:
            node = await self._outgoing.get()
            await self._flowing.wait()
            log.debug("to client: %s", kind_of(node))
            if self._write is None or self._socket.closed:
                return
            encoded = binary.encode(node)
            if pause := self.world.faults.pause(self.phone, len(encoded)):
                await asyncio.sleep(pause)
            # Nothing may be awaited between sealing and writing: the cipher counts frames.
            sealed = frame(self._write.seal(encoded))
            self.world.trace.note("out", node)
            try:
                await self._socket.send_bytes(sealed)
            except (ConnectionError, RuntimeError):
                return

    async def _close_soon(self) -> None:
        await asyncio.sleep(GOODBYE_SECONDS)
        await self._flowing.wait()
        await self._socket.close()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
