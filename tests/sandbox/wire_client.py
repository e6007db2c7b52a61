"""A minimal client of the wire: TLS, WebSocket, Noise and binary XML; registers, pairs and logs in."""

import asyncio
import base64
import itertools
import ssl
from typing import Any, Self

import aiohttp

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waAdv import WAAdv_pb2 as adv
from neonize.proto.waWa6 import WAWebProtobufsWa6_pb2 as wa6

from zapwire.wire import binary
from zapwire.wire.curve import KeyPair
from zapwire.wire.frames import FrameReader, frame
from zapwire.wire.node import Node, WireJid
from zapwire.wire.noise import HEADER, Initiator, ResumedInitiator, ServerHello

SERVER = WireJid("", "s.whatsapp.net")


class Ended(Exception):
    """The server closed the socket."""


class WireClient:
    """One companion; `registration` or `login` makes the payload that `connect` sends."""

    def __init__(self, descriptor: dict[str, Any]) -> None:
        self.descriptor = descriptor
        self.noise, self.identity, self.secret = KeyPair.generate(), KeyPair.generate(), b"s" * 32
        self.server_static = b""
        self.known_static: bytes | None = None
        """The server's key as it was kept; `connect` resumes with it."""
        self.resumed = False
        self._numbers = itertools.count(1)

    def registration(self) -> bytes:
        data = wa6.ClientPayload.DevicePairingRegistrationData(
            eRegid=b"\0\0\0\1",
            eKeytype=b"\5",
            eIdent=self.identity.public,
            eSkeyID=b"\0\0\1",
            eSkeyVal=KeyPair.generate().public,
            eSkeySig=bytes(64),
        )
        return wa6.ClientPayload(devicePairingData=data, pushName="wire").SerializeToString()

    def login(self, phone: str, device: int) -> bytes:
        return wa6.ClientPayload(username=int(phone), device=device, passive=False).SerializeToString()

    async def connect(self, payload: bytes) -> Self:
        context = ssl.create_default_context(cafile=self.descriptor["ca"])
        self._http = aiohttp.ClientSession()
        self._frames, self._waiting = FrameReader(), []
        list(self._frames.feed(HEADER))  # the server sends none
        try:
            self._socket = await self._http.ws_connect(
                self.descriptor["socket_url"], ssl=context, proxy=self.descriptor.get("use_proxy")
            )
            await self._handshake(payload)
        except BaseException:
            await self._http.close()
            raise
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._http.close()

    async def _handshake(self, payload: bytes) -> None:
        if self.known_static is not None:
            await self._resume(payload, self.known_static)
            return
        side = Initiator(self.noise)
        await self._full(side, payload, await self._hello(ephemeral=side.hello()))

    async def _hello(self, **parts: bytes) -> Any:
        hello = wa6.HandshakeMessage(clientHello=wa6.HandshakeMessage.ClientHello(**parts))
        await self._socket.send_bytes(HEADER + frame(hello.SerializeToString()))
        return wa6.HandshakeMessage.FromString(await self._frame()).serverHello

    async def _resume(self, payload: bytes, known: bytes) -> None:
        side = ResumedInitiator(self.noise, known)
        ephemeral, static, sealed = side.hello(payload)
        answer = await self._hello(ephemeral=ephemeral, static=static, payload=sealed)
        if answer.static:
            fallback = Initiator(self.noise, side)
            fallback.hello()
            await self._full(fallback, payload, answer)
            return
        self.resumed = True
        _, self._read, self._write = side.finish(answer.ephemeral, answer.payload)

    async def _full(self, side: Initiator, payload: bytes, answer: Any) -> None:
        self.server_static, _ = side.answer(ServerHello(answer.ephemeral, answer.static, answer.payload))
        static, sealed, self._read, self._write = side.finish(payload)
        last = wa6.HandshakeMessage.ClientFinish(static=static, payload=sealed)
        await self._socket.send_bytes(frame(wa6.HandshakeMessage(clientFinish=last).SerializeToString()))

    async def _frame(self) -> bytes:
        while not self._waiting:
            message = await self._socket.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise Ended
            self._waiting.extend(self._frames.feed(message.data))
        return self._waiting.pop(0)

    async def next(self) -> Node:
        async with asyncio.timeout(10):
            return binary.decode(self._read.open(await self._frame()))

    async def until(self, tag: str, kind: str | None = None) -> Node:
        while True:
            node = await self.next()
            if node.tag == tag and (kind is None or node.text("type") == kind):
                return node

    async def send(self, node: Node) -> None:
        await self._socket.send_bytes(frame(self._write.seal(binary.encode(node))))

    async def ask(self, kind: str, namespace: str, *content: Node, to: WireJid = SERVER) -> Node:
        number = str(next(self._numbers))
        await self.send(Node("iq", {"id": number, "type": kind, "xmlns": namespace, "to": to}, list(content)))
        while (answer := await self.until("iq")).text("id") != number:
            pass
        return answer

    async def qr_codes(self) -> list[str]:
        request = await self.until("iq", "set")
        await self.send(Node("iq", {"id": request.text("id"), "type": "result", "to": SERVER}))
        keys = [self.noise.public, self.identity.public, self.secret]
        encoded = ",".join(base64.b64encode(key).decode() for key in keys)
        return [f"{ref.data.decode()},{encoded},1" for ref in request.child("pair-device").children]

    async def confirm_pairing(self, *, spoil: bool = False) -> tuple[WireJid, WireJid]:
        """Answer `<pair-success>`, and give the two addresses that it brings."""
        request = await self.until("iq", "set")
        success = request.child("pair-success")
        container = adv.ADVSignedDeviceIdentityHMAC.FromString(success.child("device-identity").data)
        signed = adv.ADVSignedDeviceIdentity.FromString(container.details)
        key = signed.accountSignatureKey
        signed.deviceSignature = self.identity.sign(b"\6\1" + signed.details + self.identity.public + key)
        if spoil:
            signed.deviceSignature = bytes(64)
        signed.ClearField("accountSignatureKey")
        part = Node("device-identity", {"key-index": "1"}, signed.SerializeToString())
        answer = Node("iq", {"id": request.text("id"), "type": "result", "to": SERVER})
        answer.content = [Node("pair-device-sign", {}, [part])]
        await self.send(answer)
        device = success.child("device")
        return device.jid("jid"), device.jid("lid")
