"""Calls that exist only while a sandbox stands in for WhatsApp."""

from __future__ import annotations

import hashlib

from aiohttp import web

from zapwire.api.answers import answer
from zapwire.api.inputs import read_body
from zapwire.api.keys import CORE, SANDBOX
from zapwire.api.schemas import Scan

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
    fleet = request.app[CORE].fleet
    code, bot = await fleet.qr(body.bot, SCAN_WAIT), await fleet.get(body.bot)
    phone = body.phone or _number_of(body.bot)
    found = await sandbox.scan(code.code, phone, bot.name)
    return answer({"phone": found.get("phone", phone), "lid": found.get("lid")})


def _number_of(bot: str) -> str:
    """A number of its own for each bot, always the same: the sandbox makes its phone when there is none."""
    return f"49151{int.from_bytes(hashlib.sha256(bot.encode()).digest()[:8]) % 10**8:08}"
