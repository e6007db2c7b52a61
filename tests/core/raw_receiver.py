"""A receiver that answers with bytes, whatever they are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class RawReceiver:
    url: str = ""
    answers: list[bytes] = field(default_factory=list)
    """One after the other; the last one again and again."""
    reply: Callable[[bytes], Awaitable[bytes]] | None = None
    """Makes the answer to a body, in place of *answers*; an empty one hangs up."""
    close: bool = True
    """Hang up after each answer, or leave the connection open."""
    got: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                self.got.append(body)
                self.changed.set()
                answer = await self._answer(body)
                writer.write(answer)
                await writer.drain()
                if self.close or (self.reply is not None and not answer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            self.changed.set()
            writer.close()

    async def _answer(self, body: bytes) -> bytes:
        if self.reply is not None:
            return await self.reply(body)
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)

    async def until_closed(self) -> None:
        """Wait until nobody is connected any more."""
        async with asyncio.timeout(20):
            while self.open:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def raw_receiver(*answers: bytes, close: bool = True) -> AsyncIterator[RawReceiver]:
    one = RawReceiver(answers=list(answers), close=close)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0, limit=1 << 20)
    async with server:
        one.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
        yield one
