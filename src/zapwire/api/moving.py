"""Bots out of this installation and into it, as one sealed file."""

from __future__ import annotations

import base64

from aiohttp import web

from zapwire.api.answers import answer
from zapwire.api.bounds import BOTS_BOUND
from zapwire.api.inputs import read_body
from zapwire.api.keys import CORE
from zapwire.api.schemas import ExportBot, ImportBot
from zapwire.core import moving
from zapwire.core.codec import bot_json
from zapwire.core.one_at_a_time import Queue
from zapwire.errors import InvalidInput

MEDIA = "application/octet-stream"
LARGEST = (moving.LARGEST // 3 * 4) + (64 << 10)
"""Bytes of a request with a bundle in it, which is base64, and some more."""


def imports() -> Queue:
    """The imports of one application: each holds its bundle in memory several times over."""
    return Queue("imports", most=16, retry_after=10, at_once=2)


IMPORTS = web.AppKey("imports", Queue)


async def export(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/export`."""
    body, bot = await read_body(request, ExportBot), request.match_info["bot"]
    content = await request.app[CORE].moving.export(bot, body.passphrase, move=body.move)
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
        with request.app[BOTS_BOUND].one_more(len(core.fleet.all())):
            bot = await core.moving.bring(content, body.passphrase, bot=body.id, start=body.start)
    made = answer(bot_json(bot), 201)
    made.headers["Location"] = f"/v1/bots/{bot.id}"
    return made
