"""Messages out: hand one in, see how far it got."""

from __future__ import annotations

from contextlib import suppress

from aiohttp import web

from zapwire.api.http.auth import GRANT
from zapwire.api.http.context import CORE
from zapwire.api.http.lifetimes import ENDINGS, StreamEnd, while_allowed
from zapwire.api.http.requests import Parameter, SecondsParameter, read_body
from zapwire.api.http.responses import answer
from zapwire.api.v1.schemas.messages import SendMessage
from zapwire.core.events.serializers import outgoing_json
from zapwire.core.messages.content.media import MediaRequest
from zapwire.core.messages.content.request import ContentRequest
from zapwire.core.messages.outbox import KEY_LONGEST
from zapwire.core.wiring import Core
from zapwire.model.content.kinds import AnyContent
from zapwire.model.errors import NotFound, StoreError

WAIT = SecondsParameter("wait", "SecondsParameter to wait for `sent` or `failed`, at most 60.")
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "The same key with the same body gives the same message again instead of a second one.",
    {"minLength": 1, "maxLength": KEY_LONGEST},
)


async def send(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/messages`."""
    sender, bot, wait = request.app[CORE].outbox, request.match_info["bot"], WAIT.read(request)
    body = (await read_body(request, SendMessage)).root
    content = await _content(request.app[CORE], bot, body.to, body)
    message = await sender.submit(bot, body.to, content, idempotency_key=_key(request))
    if wait:
        # whatever becomes of the token, the database or the bot: the message is taken, and an error would have it sent
        # again
        with suppress(StoreError, NotFound):
            waited = await request.app[ENDINGS].unless_over(request[GRANT], sender.wait(bot, message.id, wait))
            message = message if isinstance(waited, StreamEnd) else waited
    made = answer(outgoing_json(message), 202)
    made.headers["Location"] = f"/v1/bots/{message.bot}/messages/{message.id}"
    return made


async def _content(core: Core, bot: str, to: str, body: ContentRequest) -> AnyContent:
    country = core.outbox.country_of(bot)
    if not isinstance(body, MediaRequest):
        return body.content(country)
    core.outbox.admit(bot, to, body.kind)  # before anything is fetched
    known = core.bots.get(bot).current.bot
    file = await core.media.for_message(known, body.kind, body.checked(), getattr(body, "file_name", None))
    return body.of(file, country)


async def get(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/messages/{message}`."""
    names, wait, sender = request.match_info, WAIT.read(request), request.app[CORE].outbox
    bot, message = names["bot"], names["message"]
    found = await while_allowed(request, sender.wait(bot, message, wait)) if wait else None
    return answer(outgoing_json(found or await sender.get(bot, message)))


def _key(request: web.Request) -> str | None:
    """The key of the draft standard, a quoted string; most clients send it bare."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and len(key) >= 2 and key[0] == key[-1] == '"':
        return key[1:-1]
    return key
