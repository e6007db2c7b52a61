"""A real webhook receiver on loopback whose answers the test chooses."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    url: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    """Bodies in the order they came, also of the deliveries that were refused."""
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Any] = lambda body: 200
    """A status, a response, or a coroutine of one."""
    stream: Callable[[web.Request], Any] | None = None
    """Answers by itself, when the answer is not a plain one."""
    at_once: int = 0
    most_at_once: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            text = await request.text()
            body = json.loads(text)
            self.raw.append(text)
            self.got.append(body)
            self.headers.append({name: ", ".join(request.headers.getall(name)) for name in request.headers})
            self.changed.set()
            if self.stream is not None:
                return await self.stream(request)
            answer = self.answer(body)
            if asyncio.iscoroutine(answer):
                answer = await answer
            if isinstance(answer, int):
                answer = web.Response(status=answer)
            if answer.status < 300:
                self.taken.append(body)
            return answer
        finally:
            self.at_once -= 1
            self.changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def receiver(port: int = 0, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls)
    await site.start()
    one.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield one
    finally:
        await runner.cleanup()
