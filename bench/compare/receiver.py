"""A webhook receiver in a process of its own, as a customer's would be: takes POSTs, and tells when each came.

Kept as cheap as Python allows, since it shares the machine with what is measured. `POST /hook` takes an event; `GET
/seen?after=N` answers the ids of messages and their moments (Unix seconds) after the first N, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

SEEN: list[tuple[str, str, float]] = []
"""Type of the event, WhatsApp's id of its message, and when it came."""


class Connection(asyncio.Protocol):
    """One client's connection, kept alive."""

    def __init__(self) -> None:
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].partition(b"\r\n")[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            if head.startswith(b"get "):
                self._tell(int(head.partition(b"after=")[2].partition(b" ")[0]))
            else:
                _note(body)
                self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    def _tell(self, after: int) -> None:
        body = json.dumps(SEEN[after:]).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def _note(body: bytes) -> None:
    now = time.time()
    event = json.loads(body)
    if event["type"] == "message.received":
        SEEN.append((event["type"], event["data"]["id"], now))
    elif event["type"] == "message.status":
        SEEN.append((event["data"]["state"], event["data"]["whatsapp_id"], now))


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(f"listening on {server.sockets[0].getsockname()[1]}", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
