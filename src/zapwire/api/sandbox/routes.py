"""Calls that exist only while a sandbox stands in for WhatsApp."""

from __future__ import annotations

import hashlib

from aiohttp import web

from zapwire.api.http.context import CORE
from zapwire.api.http.errors import HttpProblem
from zapwire.api.http.requests import read_body
from zapwire.api.http.responses import answer
from zapwire.api.http.routing import Route
from zapwire.api.sandbox.client import SANDBOX
from zapwire.api.sandbox.schemas import SandboxInfo, Scan, Scanned, UsedPasskey, UsePasskey
from zapwire.model.errors import Conflict
from zapwire.model.pairing import PasskeyChallenge

SCAN_WAIT = 10.0
"""Seconds to wait for a QR code that is not there yet."""


async def info(request: web.Request) -> web.Response:
    """`GET /v1/sandbox`."""
    sandbox = request.app[SANDBOX]
    assert sandbox is not None, "the route exists only with a sandbox"  # noqa: S101
    return answer({"socket_url": sandbox.socket_url, "page": sandbox.page})


async def scan(request: web.Request) -> web.Response:
    """`POST /v1/sandbox/scan`."""
    sandbox = request.app[SANDBOX]
    assert sandbox is not None, "the route exists only with a sandbox"  # noqa: S101
    body = await read_body(request, Scan)
    bot = request.app[CORE].bots.get(body.bot)
    code = await bot.qr(SCAN_WAIT)
    phone = body.phone or _number_of(body.bot)
    if body.passkey:
        await sandbox.demand_passkey(phone, bot.view.name)
    found = await sandbox.scan(code.code, phone, bot.view.name)
    return answer({"phone": found.get("phone", phone), "lid": found.get("lid")})


async def passkey(request: web.Request) -> web.Response:
    """`POST /v1/sandbox/passkey`."""
    sandbox = request.app[SANDBOX]
    assert sandbox is not None, "the route exists only with a sandbox"  # noqa: S101
    body = await read_body(request, UsePasskey)
    bot = request.app[CORE].bots.get(body.bot)
    found = await bot.passkey(SCAN_WAIT)
    if not isinstance(found, PasskeyChallenge):
        raise Conflict("the passkey was used already")
    phone = await sandbox.phone_asked(found.question)
    if phone is None:
        raise HttpProblem(502, "sandbox", "no virtual phone waits for this passkey")
    await bot.answer_passkey(await sandbox.answer_passkey(phone, found.question))
    return answer({"phone": phone})


def _number_of(bot: str) -> str:
    """A number of its own for each bot, always the same: the sandbox makes its phone when there is none."""
    return f"49151{int.from_bytes(hashlib.sha256(bot.encode()).digest()[:8]) % 10**8:08}"


ROUTES: tuple[Route, ...] = (
    Route("GET", "/v1/sandbox", info, "About the sandbox", answer=SandboxInfo, tag="sandbox"),
    Route(
        "POST", "/v1/sandbox/scan", scan, "Let a virtual phone scan a bot's QR code",
        body=Scan, answer=Scanned, problems=(404, 409, 502), tag="sandbox",
    ),
    Route(
        "POST", "/v1/sandbox/passkey", passkey, "Answer with the passkey of the virtual phone that scanned",
        body=UsePasskey, answer=UsedPasskey, problems=(404, 409, 501, 502), tag="sandbox",
    ),
)  # fmt: skip
