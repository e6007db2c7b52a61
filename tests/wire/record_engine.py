"""Records what the engine itself sends when it pairs: `python -m tests.wire.record_engine`.

The engine's child pairs by typed code with a sandbox in this process, which writes down the bytes before it reads them:
the proxy's request, the HTTP head, the registration's payload, every stanza by connection. Written to
tests/wire/vectors/engine_pairing.json, which is committed: our codecs and our client are compared with it, so that one
mistake on both sides (the sandbox shares `zapwire.wire` with the client) cannot hide. Takes half a minute, as it waits
for a keep-alive, or a few times that. The keys in it are of that one pairing, with a sandbox that is gone.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.transport.driven import Driven
from zapwire.sandbox.running import RunningSandbox, running_sandbox
from zapwire.sandbox.server.network import client_socket
from zapwire.sandbox.server.network.client_socket import ClientSocket
from zapwire.sandbox.server.network.connect_proxy import ConnectProxy
from zapwire.wire import binary
from zapwire.wire.node import Node
from zapwire.wire.noise import Cipher, Responder

VECTORS = Path(__file__).parent / "vectors" / "engine_pairing.json"
NUMBER = "4915510000001"
UNTIL_A_KEEP_ALIVE = 31.0


class Recording:
    """What was seen."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.proxy: list[str] = []
        self.heads: list[list[list[str]]] = []
        self.payloads: list[str] = []
        self.sent: dict[int, list[str]] = defaultdict(list)
        self.received: dict[int, list[str]] = defaultdict(list)
        self._sockets: list[Any] = []

    def number_of(self, socket: Any) -> int:
        if socket not in self._sockets:
            self._sockets.append(socket)
        return self._sockets.index(socket)

    def hook(self) -> None:
        """Write down at the places where bytes come and go."""
        read_target, run, deliver = ConnectProxy._read_target, ClientSocket.run, ClientSocket.deliver

        async def reads_target(proxy: ConnectProxy, reader: asyncio.StreamReader) -> str | None:
            original = reader.readuntil

            async def noted(separator: bytes = b"\n") -> bytes:
                head = await original(separator)
                self.proxy.append(head.decode("latin-1"))
                return head

            reader.readuntil = noted  # type: ignore[method-assign]
            return await read_target(proxy, reader)

        async def runs(socket: ClientSocket, *arguments: Any) -> None:
            request = socket._request
            first = f"{request.method} {request.path} HTTP/1.1"
            self.heads.append([[first, ""], *([k.decode(), v.decode()] for k, v in request.raw_headers)])
            await run(socket, *arguments)

        async def next_node(socket: ClientSocket, read: Cipher) -> Node:
            data = read.open(await socket._next_frame())
            self.sent[self.number_of(socket)].append(data.hex())
            return binary.decode(data)

        async def delivers(socket: ClientSocket, node: Node) -> None:
            self.received[self.number_of(socket)].append(binary.encode(node).hex())
            await deliver(socket, node)

        ConnectProxy._read_target = reads_target  # type: ignore[method-assign]
        ClientSocket.run, ClientSocket.next_node, ClientSocket.deliver = runs, next_node, delivers  # type: ignore[method-assign]
        finish = Responder.finish

        def finishes(side: Responder, static: bytes, payload: bytes) -> Any:
            read = finish(side, static, payload)
            self.payloads.append(read[1].hex())
            return read

        client_socket.Responder.finish = finishes  # type: ignore[method-assign]


async def pair(sandbox: RunningSandbox, folder: Path) -> dict[str, str]:
    descriptor = folder / "descriptor.json"
    descriptor.write_text(json.dumps(sandbox.descriptor))
    phone, _ = await sandbox.phones.ensure(NUMBER, "Recorded")
    async with Driven(folder, descriptor, env={"DRIVER_PAIRING": "engine"}) as driver:
        bot = driver.bot("recorded")
        await bot("start")
        qr = (await bot.until("QrCode"))["code"]
        await asyncio.sleep(UNTIL_A_KEEP_ALIVE)
        code = await bot("code", phone=f"+{NUMBER}")
        await phone.pairing.enter_code(code)
        await bot.until("Connected")
    return {"qr": qr, "code": code}


async def main() -> None:
    recording, shown = Recording(), {}
    recording.hook()
    # The child is often killed before it has sent the last stanza of a pairing.
    while not any(b"unified_session".hex() in stanza for stanza in recording.sent[0]):
        recording.clear()
        with tempfile.TemporaryDirectory() as folder:
            async with running_sandbox() as sandbox:
                shown = await pair(sandbox, Path(folder))
    vectors = {
        "made_by": "python -m tests.wire.record_engine",
        **shown,
        "proxy_request": recording.proxy[0],
        "http_head": recording.heads[0],
        "registration": recording.payloads[0],
        "login": recording.payloads[1],
        "received_while_pairing": recording.received[0],
        "sent_while_pairing": recording.sent[0],
    }
    VECTORS.write_text(json.dumps(vectors, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
