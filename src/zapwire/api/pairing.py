"""Linking a bot with an account: by QR code or by a code typed on the phone."""

from __future__ import annotations

import asyncio

from aiohttp import web

from zapwire.api import qr
from zapwire.api.answers import answer
from zapwire.api.endings import while_allowed
from zapwire.api.inputs import Seconds, read_body
from zapwire.api.keys import CORE
from zapwire.api.problems import Problem
from zapwire.api.schemas import PairByCode
from zapwire.core.codec import bot_json, timestamp
from zapwire.model import QrCode

WAIT = Seconds("wait", "Seconds to wait until there is a code, at most 60.")
IMAGES = ("image/png", "image/svg+xml", "text/plain")
_OFFERS = ("application/json", *IMAGES)


async def show_qr(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/qr`: by Accept JSON, PNG, SVG or the bare text."""
    wanted = qr.choose(request.headers.get("Accept", "*/*"), _OFFERS)
    if wanted is None:
        raise Problem(406, "not-acceptable", "a QR code comes as " + ", ".join(_OFFERS), field="Accept")
    fleet, bot, wait = request.app[CORE].fleet, request.match_info["bot"], WAIT.read(request)
    code = await while_allowed(request, fleet.qr(bot, wait)) if wait else None
    if code is None:
        code = await fleet.qr(bot)
    made = await _as(wanted, code)
    made.headers["Vary"] = "Accept"
    return made


async def refresh_qr(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/qr/refresh`."""
    return answer(bot_json(await request.app[CORE].fleet.refresh_qr(request.match_info["bot"])), 202)


async def pairing_code(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/pairing-code`."""
    body = await read_body(request, PairByCode)
    core = request.app[CORE]
    code = await core.fleet.pairing_code(request.match_info["bot"], body.phone)
    core.stats.tally.pairing_code_shown()
    return answer({"code": code.code, "expires_at": timestamp(code.expires_at)})


async def _as(media: str, code: QrCode) -> web.Response:
    about = {"X-Qr-Expires-At": timestamp(code.expires_at), "X-Qr-Attempt": str(code.attempt)}
    match media:
        case "image/png":
            return web.Response(body=await asyncio.to_thread(qr.png, code.code), content_type=media, headers=about)
        case "image/svg+xml":
            return web.Response(body=await asyncio.to_thread(qr.svg, code.code), content_type=media, headers=about)
        case "text/plain":
            return web.Response(text=code.code, headers=about)
    image = qr.data_url(await asyncio.to_thread(qr.png, code.code))
    return answer(
        {"code": code.code, "image": image, "expires_at": timestamp(code.expires_at), "attempt": code.attempt}
    )
