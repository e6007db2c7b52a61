"""Bots out of this installation and into it, as one sealed file."""

from __future__ import annotations

import base64

from aiohttp import web

from zapwire.api.http.context import CORE
from zapwire.api.http.requests import read_body
from zapwire.api.http.responses import answer
from zapwire.api.v1.capacity import BOTS_BOUND
from zapwire.api.v1.schemas.bots import ExportBot, ImportBot
from zapwire.core.bots import transfer
from zapwire.core.events.serializers import bot_json
from zapwire.model.errors import InvalidInput
from zapwire.runtime.one_at_a_time import SerialQueue

MEDIA = "application/octet-stream"
LARGEST = (transfer.LARGEST // 3 * 4) + (64 << 10)
"""Bytes of a request with a bundle in it, which is base64, and some more."""


def imports() -> SerialQueue:
    """The imports of one application: each holds its bundle in memory several times over."""
    return SerialQueue("imports", most=16, retry_after=10, at_once=2)


IMPORTS = web.AppKey("imports", SerialQueue)


async def export(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/export`."""
    body, bot = await read_body(request, ExportBot), request.match_info["bot"]
    content = await request.app[CORE].transfer.export(bot, body.passphrase, move=body.move)
    headers = {"Content-Disposition": f'attachment; filename="{bot}.zapwire"', "Cache-Control": "no-store"}
    return web.Response(body=content, content_type=MEDIA, headers=headers)


async def bring(request: web.Request) -> web.Response:
    """`POST /v1/bots/import`."""
    async with request.app[IMPORTS].turn():  # nothing of a body is read before
        body = await read_body(request, ImportBot, largest=LARGEST)
        try:
            content = base64.b64decode(body.bundle, validate=True)
        except ValueError:  # binascii.Error is one; what is not ASCII raises a bare one
            raise InvalidInput("must be base64", field="bundle") from None
        core = request.app[CORE]
        async with request.app[BOTS_BOUND].one_more(core.bots.count):
            bot = await core.transfer.bring(content, body.passphrase, bot=body.id, start=body.start)
    made = answer(bot_json(bot), 201)
    made.headers["Location"] = f"/v1/bots/{bot.id}"
    return made
