"""Linking a bot with an account: by QR code or a code typed on the phone, and by a passkey if WhatsApp asks for it."""

from __future__ import annotations

import asyncio

from aiohttp import web

from zapwire.api.http.context import CORE
from zapwire.api.http.errors import HttpProblem
from zapwire.api.http.lifetimes import while_allowed
from zapwire.api.http.requests import SecondsParameter, read_body
from zapwire.api.http.responses import answer
from zapwire.api.v1 import qr_images
from zapwire.api.v1.schemas.pairing import AnswerPasskey, ConfirmPasskey, PairByCode
from zapwire.core.bots.bot import Bot
from zapwire.core.events.serializers import bot_json, passkey_json, timestamp
from zapwire.model.pairing import QrCode

WAIT = SecondsParameter("wait", "Seconds to wait until there is a code, at most 60.")
PASSKEY_WAIT = SecondsParameter("wait", "Seconds to wait until WhatsApp asks, at most 60.")
ANSWER_LARGEST = 64 << 10
"""Bytes of a body with a passkey's answer, which has some two thousand."""
IMAGES = ("image/png", "image/svg+xml", "text/plain")
_OFFERS = ("application/json", *IMAGES)


async def show_qr(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/qr`: by Accept JSON, PNG, SVG or the bare text."""
    wanted = qr_images.choose(request.headers.get("Accept", "*/*"), _OFFERS)
    if wanted is None:
        raise HttpProblem(406, "not-acceptable", "a QR code comes as " + ", ".join(_OFFERS), field="Accept")
    bot, wait = _bot(request), WAIT.read(request)
    code = await while_allowed(request, bot.qr(wait)) if wait else None
    if code is None:
        code = await bot.qr(0.0)
    made = await _as(wanted, code)
    made.headers["Vary"] = "Accept"
    return made


async def refresh_qr(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/qr/refresh`."""
    return answer(bot_json(await _bot(request).restart(pairing=True)), 202)


async def pairing_code(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/pairing-code`."""
    body = await read_body(request, PairByCode)
    code = await _bot(request).pairing_code(body.phone)
    request.app[CORE].stats.counters.pairing_code_shown()
    return answer({"code": code.code, "expires_at": timestamp(code.expires_at)})


async def show_passkey(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/passkey`."""
    bot, wait = _bot(request), PASSKEY_WAIT.read(request)
    found = await while_allowed(request, bot.passkey(wait)) if wait else None
    if found is None:
        found = await bot.passkey(0.0)
    return answer(passkey_json(found))


async def answer_passkey(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/passkey`."""
    body = await read_body(request, AnswerPasskey, largest=ANSWER_LARGEST)
    bot = _bot(request)
    await bot.answer_passkey(body.answer.model_dump())
    return answer(bot_json(bot.view), 202)


async def confirm_passkey(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/passkey/confirm`."""
    body = await read_body(request, ConfirmPasskey)
    bot = _bot(request)
    await bot.confirm_passkey(body.code or "")
    return answer(bot_json(bot.view), 202)


def _bot(request: web.Request) -> Bot:
    return request.app[CORE].bots.get(request.match_info["bot"])


async def _as(media: str, code: QrCode) -> web.Response:
    about = {"X-Qr-Expires-At": timestamp(code.expires_at), "X-Qr-Attempt": str(code.attempt)}
    match media:
        case "image/png":
            return web.Response(
                body=await asyncio.to_thread(qr_images.png, code.code), content_type=media, headers=about
            )
        case "image/svg+xml":
            return web.Response(
                body=await asyncio.to_thread(qr_images.svg, code.code), content_type=media, headers=about
            )
        case "text/plain":
            return web.Response(text=code.code, headers=about)
    image = qr_images.data_url(await asyncio.to_thread(qr_images.png, code.code))
    return answer(
        {"code": code.code, "image": image, "expires_at": timestamp(code.expires_at), "attempt": code.attempt}
    )
