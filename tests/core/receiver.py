"""A real webhook receiver on loopback whose answers the test chooses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Receiver:
    url: str = ""
    secret: str = ""
    got: list[dict[str, Any]] = field(default_factory=list)
    """Bodies in the order they came, also of the deliveries that were refused."""
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[str] = field(default_factory=list)
    taken: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Any] = lambda body: 200
    at_once: int = 0
    most_at_once: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.Response:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            text = await request.text()
            body = json.loads(text)
            self.raw.append(text)
            self.got.append(body)
            self.headers.append(dict(request.headers))
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
async def receiver(port: int = 0) -> AsyncIterator[Receiver]:
    one = Receiver()
    app = web.Application()
    app.router.add_post("/hook", one.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield one
    finally:
        await runner.cleanup()
