"""Calls that exist only while a sandbox stands in for WhatsApp."""

from __future__ import annotations

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
    code = await request.app[CORE].fleet.qr(body.bot, SCAN_WAIT)
    found = await sandbox.scan(code.code, body.phone)
    return answer({"phone": found.get("phone", body.phone), "lid": found.get("lid")})
