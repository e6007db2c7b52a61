"""Bots: create, see, change, delete, and say what they should do."""

from __future__ import annotations

from aiohttp import web

from zapwire.api.answers import answer, nothing
from zapwire.api.bounds import BOTS_BOUND
from zapwire.api.inputs import Flag, Whole, read_body
from zapwire.api.keys import CORE
from zapwire.api.schemas import CreateBot, UpdateBot
from zapwire.core.codec import bot_json, entry_json
from zapwire.core.fleet import AuthState
from zapwire.core.keep import KEEP

BEFORE = Whole("before", "Only entries before this `n`; without it the newest.")
FORCE = Flag("force", "Also when WhatsApp cannot be told; then the phone lists the device until it is removed there.")
LIMIT = Whole("limit", "Most entries in one page.", minimum=1, maximum=500, default=100)


async def create(request: web.Request) -> web.Response:
    """`POST /v1/bots`."""
    body = await read_body(request, CreateBot)
    fleet = request.app[CORE].fleet
    with request.app[BOTS_BOUND].one_more(len(fleet.all())):
        bot = await fleet.create(
            body.id,
            body.name,
            autostart=body.autostart,
            proxy=body.proxy,
            proxy_check=body.proxy_check,
            default_country=body.default_country,
            auth_state=None if body.auth_state is None else AuthState(body.auth_state),
        )
    made = answer(bot_json(bot), 201)
    made.headers["Location"] = f"/v1/bots/{bot.id}"
    return made


async def list_all(request: web.Request) -> web.Response:
    """`GET /v1/bots`."""
    return answer({"bots": [bot_json(bot) for bot in await request.app[CORE].fleet.list()]})


async def get(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}`."""
    return answer(bot_json(await request.app[CORE].fleet.get(request.match_info["bot"])))


async def history(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/history`."""
    limit = LIMIT.read(request) or 100
    fleet = request.app[CORE].fleet
    entries = await fleet.history(request.match_info["bot"], before=BEFORE.read(request), limit=limit)
    more = entries[-1].n if len(entries) == limit else None
    return answer({"history": [entry_json(entry) for entry in entries], "next_before": more})


async def update(request: web.Request) -> web.Response:
    """`PATCH /v1/bots/{bot}`."""
    body = await read_body(request, UpdateBot)
    bot = await request.app[CORE].fleet.update(
        request.match_info["bot"],
        name=body.name,
        autostart=body.autostart,
        proxy=body.proxy if "proxy" in body.model_fields_set else KEEP,
        proxy_check=body.proxy_check,
        default_country=body.default_country if "default_country" in body.model_fields_set else KEEP,
    )
    return answer(bot_json(bot))


async def delete(request: web.Request) -> web.Response:
    """`DELETE /v1/bots/{bot}`."""
    await request.app[CORE].fleet.delete(request.match_info["bot"], force=FORCE.read(request))
    return nothing()


async def connect(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/connect`."""
    return answer(bot_json(await request.app[CORE].fleet.connect(request.match_info["bot"])), 202)


async def disconnect(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/disconnect`."""
    return answer(bot_json(await request.app[CORE].fleet.disconnect(request.match_info["bot"])), 202)


async def restart(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/restart`."""
    return answer(bot_json(await request.app[CORE].fleet.restart(request.match_info["bot"])), 202)


async def logout(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/logout`."""
    bot = await request.app[CORE].fleet.logout(request.match_info["bot"], force=FORCE.read(request))
    return answer(bot_json(bot), 202)
