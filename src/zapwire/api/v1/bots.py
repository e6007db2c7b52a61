"""Bots: create, see, change, delete, and say what they should do."""

from __future__ import annotations

from aiohttp import web

from zapwire.api.http.context import CORE
from zapwire.api.http.requests import FlagParameter, IntegerParameter, read_body
from zapwire.api.http.responses import answer, nothing
from zapwire.api.v1.capacity import BOTS_BOUND
from zapwire.api.v1.schemas.bots import CreateBot, PairingOptionsBody, UpdateBot
from zapwire.core.bots.bot import Bot
from zapwire.core.bots.registry import AuthState
from zapwire.core.events.serializers import bot_json, entry_json
from zapwire.model.pairing import PairingOptions
from zapwire.model.unset import KEEP

BEFORE = IntegerParameter("before", "Only entries before the one with this `id`; without it the newest.")
FORCE = FlagParameter(
    "force", "Also when WhatsApp cannot be notified; then the phone lists the device until it is removed there."
)
LIMIT = IntegerParameter("limit", "Most entries in one page.", minimum=1, maximum=500, default=100)


async def create(request: web.Request) -> web.Response:
    """`POST /v1/bots`."""
    body = await read_body(request, CreateBot)
    registry = request.app[CORE].bots
    async with request.app[BOTS_BOUND].one_more(registry.count):
        bot = await registry.create(
            body.id,
            body.name,
            autostart=body.autostart,
            proxy=body.proxy,
            proxy_check=body.proxy_check,
            default_country=body.default_country,
            pairing_options=_options(body.pairing_options),
            ignore=body.ignore,
            auth_state=None if body.auth_state is None else AuthState(body.auth_state),
            transport=body.transport,
        )
    made = answer(bot_json(bot), 201)
    made.headers["Location"] = f"/v1/bots/{bot.id}"
    return made


async def list_all(request: web.Request) -> web.Response:
    """`GET /v1/bots`."""
    return answer({"bots": [bot_json(bot) for bot in await request.app[CORE].bots.list()]})


async def get(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}`."""
    return answer(bot_json(_bot(request).view))


async def history(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/history`."""
    limit = LIMIT.read(request) or 100
    entries = await _bot(request).history(before=BEFORE.read(request), limit=limit)
    more = entries[-1].id if len(entries) == limit else None
    return answer({"history": [entry_json(entry) for entry in entries], "next_before": more})


async def update(request: web.Request) -> web.Response:
    """`PATCH /v1/bots/{bot}`."""
    body = await read_body(request, UpdateBot)
    bot = await _bot(request).change(
        name=body.name,
        autostart=body.autostart,
        proxy=body.proxy if "proxy" in body.model_fields_set else KEEP,
        proxy_check=body.proxy_check,
        default_country=body.default_country if "default_country" in body.model_fields_set else KEEP,
        pairing_options=_options(body.pairing_options),
        ignore=body.ignore if "ignore" in body.model_fields_set else KEEP,
    )
    return answer(bot_json(bot))


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/bots/{bot}`."""
    await request.app[CORE].bots.delete(request.match_info["bot"], force=FORCE.read(request))
    return nothing()


async def connect(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/connect`."""
    return answer(bot_json(await _bot(request).connect()), 202)


async def disconnect(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/disconnect`."""
    return answer(bot_json(await _bot(request).disconnect()), 202)


async def restart(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/restart`."""
    return answer(bot_json(await _bot(request).restart()), 202)


async def logout(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/logout`."""
    return answer(bot_json(await _bot(request).logout(force=FORCE.read(request))), 202)


def _options(body: PairingOptionsBody | None) -> PairingOptions | None:
    return None if body is None else PairingOptions(**body.model_dump())


def _bot(request: web.Request) -> Bot:
    return request.app[CORE].bots.get(request.match_info["bot"])
