"""A real HTTP server that takes webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web
from standardwebhooks import Webhook


@dataclass(frozen=True)
class Delivery:
    """One request as it came."""

    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The event, unverified."""
        return dict(json.loads(self.body))

    def verified(self, secret: str) -> dict[str, Any]:
        """The event, if the signature is right; raises WebhookVerificationError otherwise."""
        headers = {k.lower(): v for k, v in self.headers.items()}
        return dict(Webhook(secret).verify(self.body, headers))


class Receiver:
    """Answers with `status`, or what `reply` makes of an event; deliveries wait in a queue.

    With a *port* it comes back where it was.
    """

    def __init__(self, port: int = 0) -> None:
        self.status = 204
        self.reply: Callable[[dict[str, Any]], Any] | None = None
        self.port = port
        self.deliveries: asyncio.Queue[Delivery] = asyncio.Queue(10_000)
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        delivery = Delivery(request.headers, await request.read())
        self.deliveries.put_nowait(delivery)
        if self.reply is not None:
            return web.json_response(self.reply(delivery.json()))
        return web.Response(status=self.status)

    async def next(self, within: float = 30) -> Delivery:
        async with asyncio.timeout(within):
            return await self.deliveries.get()
