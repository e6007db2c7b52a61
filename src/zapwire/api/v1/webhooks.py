"""Outgoing webhooks: who gets which events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from zapwire.api.http.context import CORE
from zapwire.api.http.requests import read_body
from zapwire.api.http.responses import answer, nothing
from zapwire.api.v1.capacity import WEBHOOKS_BOUND
from zapwire.api.v1.schemas.webhooks import CreateWebhook, RotateSecret, UpdateWebhook
from zapwire.core.events.serializers import endpoint_json
from zapwire.model.errors import InvalidInput


async def create(request: web.Request) -> web.Response:
    """`POST /v1/webhooks`."""
    body = await read_body(request, CreateWebhook)
    endpoints = request.app[CORE].endpoints
    _refuse_unknown(request, body.bots)
    async with request.app[WEBHOOKS_BOUND].one_more(endpoints.count):
        endpoint, secret = await endpoints.create(**dict(body))
    made = answer({**endpoint_json(endpoint), "secret": secret}, 201)
    made.headers["Location"] = f"/v1/webhooks/{endpoint.id}"
    return made


async def list_all(request: web.Request) -> web.Response:
    """`GET /v1/webhooks`."""
    return answer({"webhooks": [endpoint_json(endpoint) for endpoint in await request.app[CORE].endpoints.list()]})


async def get(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/{webhook}`."""
    return answer(endpoint_json(await request.app[CORE].endpoints.get(request.match_info["webhook"])))


async def update(request: web.Request) -> web.Response:
    """`PATCH /v1/webhooks/{webhook}`."""
    body = await read_body(request, UpdateWebhook)
    endpoints, webhook = request.app[CORE].endpoints, request.match_info["webhook"]
    if body.bots is not None:
        _refuse_unknown(request, body.bots, (await endpoints.get(webhook)).bots)
    # only what the body names: null means "all bots" there, not "leave"
    changes: dict[str, Any] = {name: getattr(body, name) for name in body.model_fields_set}
    return answer(endpoint_json(await endpoints.update(webhook, **changes)))


async def pause(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/pause`."""
    return answer(endpoint_json(await request.app[CORE].endpoints.pause(request.match_info["webhook"])))


async def resume(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/resume`."""
    return answer(endpoint_json(await request.app[CORE].endpoints.resume(request.match_info["webhook"])))


async def rotate(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/rotate-secret`."""
    body = await read_body(request, RotateSecret)
    endpoint, secret = await request.app[CORE].endpoints.rotate(
        request.match_info["webhook"], grace=body.grace, secret=body.secret
    )
    return answer({**endpoint_json(endpoint), "secret": secret})


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/webhooks/{webhook}`."""
    await request.app[CORE].endpoints.delete(request.match_info["webhook"])
    return nothing()


def _refuse_unknown(request: web.Request, bots: Sequence[str] | None, before: Sequence[str] | None = None) -> None:
    """Raise `InvalidInput` when one of *bots* is none of ours, as a typing mistake would be.

    Those that the webhook had *before* may stay: they may have been deleted since, and may come back.
    """
    registry = request.app[CORE].bots
    unknown = [bot for bot in bots or () if not registry.has(bot) and bot not in (before or ())]
    if unknown:
        raise InvalidInput(f"there is no bot {', '.join(unknown[:10])}", field="bots")
