"""How fast a bot may write."""

from __future__ import annotations

from aiohttp import web

from zapwire.api.http.context import CORE
from zapwire.api.http.requests import read_body
from zapwire.api.http.responses import answer
from zapwire.api.v1.schemas.pacing import ChangePacing
from zapwire.core.events.serializers import pacing_json


async def show(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/pacing`."""
    return answer(pacing_json(await request.app[CORE].outbox.pacing(request.match_info["bot"])))


async def change(request: web.Request) -> web.Response:
    """`PATCH /v1/bots/{bot}/pacing`."""
    body = await read_body(request, ChangePacing)
    changes = body.model_dump(exclude_unset=True)
    return answer(pacing_json(await request.app[CORE].outbox.set_pacing(request.match_info["bot"], changes)))
