"""Messages out: hand one in, see how far it got."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from datetime import datetime

from aiohttp import web

from zapwire.api.http.auth import GRANT
from zapwire.api.http.context import CORE
from zapwire.api.http.lifetimes import ENDINGS, StreamEnd, while_allowed
from zapwire.api.http.requests import (
    ChoiceParameter,
    IntegerParameter,
    Parameter,
    SecondsParameter,
    WordsParameter,
    read_body,
)
from zapwire.api.http.responses import answer
from zapwire.api.v1.schemas.messages import Forward, SendMessage
from zapwire.api.v1.schemas.sending import Reschedule
from zapwire.core.events.serializers import outgoing_json, recipient_json
from zapwire.core.messages.content.media import MediaRequest
from zapwire.core.messages.content.request import ContentRequest
from zapwire.core.messages.content.text import Preview, TextRequest
from zapwire.core.messages.history import Filter
from zapwire.core.messages.submission import KEY_LONGEST
from zapwire.core.wiring import Core
from zapwire.model.content.kinds import AnyContent
from zapwire.model.errors import InvalidInput, NotFound, StoreError
from zapwire.model.link_preview import LinkPreview
from zapwire.model.messages import MessageState, OutgoingView
from zapwire.runtime.json_encoder import encode_bytes

WAIT = SecondsParameter("wait", "Seconds to wait for `sent` or `failed`, at most 60.")
WORDS_LONGEST = 256
_STATES = tuple(one.value for one in MessageState)
CHAT = Parameter("chat", "Only of this chat: a JID, a phone number with `+`, or the id of a person.")
DIRECTION = ChoiceParameter("direction", "Only what came in, or what was sent.", choices=("", "in", "out"))
KINDS = WordsParameter("kind", "Only these types of messages.")
STATES = WordsParameter("state", "Only sent ones in these states.", {"enum": list(_STATES)})
WORDS = Parameter(
    "q", "Only those with this in their text, caption or the like, in any case.", {"maxLength": WORDS_LONGEST}
)
BEFORE = Parameter("before", "`next` of the page before.", {"maxLength": 512})
AFTER = Parameter("after", "Only those that are newer than this moment.", {"format": "date-time"})
LIMIT = IntegerParameter("limit", "At most so many.", minimum=1, maximum=200, default=50)
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "The same key with the same body gives the same message again instead of a second one.",
    {"minLength": 1, "maxLength": KEY_LONGEST},
)


async def send(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/messages`."""
    sender, bot, wait = request.app[CORE].outbox, request.match_info["bot"], WAIT.read(request)
    body, key = (await read_body(request, SendMessage)).root, _key(request)
    fetches = isinstance(body, MediaRequest) or (isinstance(body, TextRequest) and body.fetches)
    asked = _asked(body) if fetches else None
    with sender.taking(bot, key if asked is not None else None):
        message = await sender.repeated(bot, key, asked) if asked is not None else None
        if message is None:  # else no file is taken
            content = await _content(request.app[CORE], bot, body.to, body)
            message = await sender.submit(
                bot, body.to, content, idempotency_key=key, options=body.send_options(), request=asked
            )
    if wait:
        # whatever becomes of the token, the database or the bot: the message is taken, and an error would have it sent
        # again
        with suppress(StoreError, NotFound):
            waited = await request.app[ENDINGS].unless_over(request[GRANT], sender.wait(bot, message.id, wait))
            message = message if isinstance(waited, StreamEnd) else waited
    return _taken(message)


def _asked(body: ContentRequest) -> bytes:
    """A digest of the request: a file that is given once more, or fetched again, need not be the same."""
    return hashlib.sha256(encode_bytes(body.model_dump(mode="json", exclude_unset=True))).digest()


async def _content(core: Core, bot: str, to: str, body: ContentRequest) -> AnyContent:
    country = core.outbox.country_of(bot)
    if isinstance(body, TextRequest) and body.fetches:
        body.of(None, country)  # what is wrong with it is said first
        core.outbox.admit(bot, to, body.kind)
        return body.of(await _preview(core, body), country)
    if not isinstance(body, MediaRequest):
        return body.content(country)
    core.outbox.admit(bot, to, body.kind)  # before anything is fetched
    known = core.bots.get(bot).current.bot
    file = await core.media.for_message(known, body.kind, body.checked(), getattr(body, "file_name", None))
    return body.of(file, country)


async def _preview(core: Core, body: TextRequest) -> LinkPreview | None:
    if isinstance(body.preview, Preview):
        return await core.link_previews.given(body.preview.link, body.preview.title, body.preview.image or "")
    return await core.link_previews.of(body.text)


async def list_all(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/messages`."""
    core, query = request.app[CORE], request.query
    bot = core.bots.get(request.match_info["bot"]).current.bot
    kinds, states = KINDS.read(request), STATES.read(request)
    after = query.get(AFTER.name)
    for state in states or ():
        if state not in _STATES:
            raise InvalidInput(f"no state of a message; there are {', '.join(_STATES)}", field=STATES.name)
    wanted = Filter(
        chat=query.get(CHAT.name),
        direction=DIRECTION.read(request) or None,
        kinds=None if kinds is None else tuple(kinds),
        states=None if states is None else tuple(states),
        words=_words(query.get(WORDS.name, "")),
        after=None if after is None else _moment(after),
    )
    page = await core.history.page(bot, wanted, query.get(BEFORE.name), LIMIT.read(request) or 50)
    return answer({"messages": page.messages, "next": page.next})


def _words(text: str) -> str | None:
    if len(text) > WORDS_LONGEST:
        raise InvalidInput(f"longer than {WORDS_LONGEST} characters", field=WORDS.name)
    return text or None


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise InvalidInput("must be a moment like 2026-01-31T12:00:00Z", field=AFTER.name)
    return found


async def cancel(request: web.Request) -> web.Response:
    """`DELETE /v1/bots/{bot}/messages/{message}`."""
    names = request.match_info
    return answer(outgoing_json(await request.app[CORE].outbox.cancel(names["bot"], names["message"])))


async def resend(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/messages/{message}/resend`."""
    names = request.match_info
    return _taken(await request.app[CORE].outbox.resend(names["bot"], names["message"], idempotency_key=_key(request)))


async def forward(request: web.Request) -> web.Response:
    """`POST /v1/bots/{bot}/messages/{message}/forward`."""
    names, body = request.match_info, await read_body(request, Forward)
    message = await request.app[CORE].outbox.forward(
        *(names["bot"], names["message"], body.to),
        chat=body.chat,
        idempotency_key=_key(request),
        options=body.send_options(),
    )
    return _taken(message)


def _taken(message: OutgoingView) -> web.Response:
    made = answer(outgoing_json(message), 202)
    made.headers["Location"] = f"/v1/bots/{message.bot}/messages/{message.id}"
    return made


async def recipients(request: web.Request) -> web.Response:
    """`GET /v1/bots/{bot}/messages/{message}/recipients`."""
    names = request.match_info
    found = await request.app[CORE].outbox.recipients(names["bot"], names["message"])
    return answer({"recipients": [recipient_json(one) for one in found]})


async def reschedule(request: web.Request) -> web.Response:
    """`PATCH /v1/bots/{bot}/messages/{message}`."""
    names, body = request.match_info, await read_body(request, Reschedule)
    view = await request.app[CORE].outbox.reschedule(names["bot"], names["message"], body.send_at)
    return answer(outgoing_json(view))


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
