"""A call of the API as data, and the one way a request reaches its handler."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from aiohttp import web
from pydantic import BaseModel

from zapwire.api.http.context import AUTH
from zapwire.api.http.errors import Handler, HttpProblem
from zapwire.api.http.requests import Parameter, read_all, refuse_unknown

_OF_BOT = re.compile(r"{bot}$")
"""The calls about a bot itself; no bot is called `import`, which is a call of its own."""


class Access(StrEnum):
    """Who may make a call."""

    TOKEN = "token"  # noqa: S105 - a word, not a secret
    """Whoever has a token; the default."""
    STREAM = "token, or first message"
    """As TOKEN; a WebSocket may send its token as the first message, since browsers cannot set headers there."""
    PUBLIC = "public"
    """Everyone who reaches the port."""


@dataclass(frozen=True, slots=True)
class Route:
    """One call: everything that the router, the OpenAPI document and the docs test need to know."""

    method: str
    path: str
    handler: Handler
    summary: str
    status: int = 200
    access: Access = Access.TOKEN
    body: type[BaseModel] | None = None
    file: bool = False
    """Takes a body of any type, which the handler reads as it comes."""
    answer: type[BaseModel] | None = None
    query: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    problems: tuple[int, ...] = ()
    media: tuple[str, ...] = ()
    """Content types of the answer besides JSON."""
    text: str | None = None
    """Content type of an answer that is no JSON at all."""
    tag: str = "bots"
    documented: bool = True
    """False for pages and their files: not part of the API."""

    def add_to(self, app: web.Application) -> None:
        """Register with the router, behind the checks."""
        path = _OF_BOT.sub(r"{bot:(?!import$)[^/]+}", self.path)
        if self.method == "GET":
            app.router.add_get(path, self._enter, allow_head=self.access is not Access.STREAM)
        else:
            app.router.add_route(self.method, path, self._enter)

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        in_stream = self.access is Access.STREAM and request.headers.get("Upgrade", "").lower() == "websocket"
        if self.access is not Access.PUBLIC and not in_stream:
            await request.app[AUTH].require(request)
        if self.documented:
            refuse_unknown(request, self.query)
        if self.body is None and not self.file and request.can_read_body:
            if self.access is Access.PUBLIC:
                raise HttpProblem(400, "bad-request", "this call takes no body")
            await read_all(request)  # nobody wants it, but it has to be one
        return await self.handler(request)
