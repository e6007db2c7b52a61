"""What webhooks were sent: to look at, to try, and to have sent again."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from zapwire.api.http import string_formats
from zapwire.api.http.context import CORE
from zapwire.api.http.requests import IntegerParameter, Parameter, read_body
from zapwire.api.http.responses import answer
from zapwire.api.v1.schemas.webhooks import Replay
from zapwire.core.events.serializers import delivery_json, event_bytes
from zapwire.core.webhooks.delivery_log import PAGE_LARGEST
from zapwire.model.deliveries import DeliveryState
from zapwire.model.errors import InvalidInput
from zapwire.model.events import Event

STATE = Parameter(
    "state", "Only `pending`, `failed`, `delivered` or `dead` ones.", {"enum": [state.value for state in DeliveryState]}
)
EVENT = Parameter("event", "Only that of the event with this id.")
CHAT = Parameter("chat", "Only those of this chat: a phone number or a JID.", string_formats.RECIPIENT)
AFTER = IntegerParameter("after", "`next_after` of the page before.")
LIMIT = IntegerParameter("limit", "How many at most.", minimum=1, maximum=PAGE_LARGEST, default=50)


async def list_all(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/{webhook}/deliveries`."""
    page = await request.app[CORE].delivery_log.page(
        request.match_info["webhook"],
        state=request.query.get("state"),
        event=request.query.get("event"),
        chat=request.query.get("chat"),
        after=AFTER.read(request),
        limit=LIMIT.read(request) or PAGE_LARGEST,
    )
    return answer({"deliveries": [delivery_json(one) for one in page.deliveries], "next_after": page.next_after})


async def get(request: web.Request) -> web.Response:
    """`GET /v1/webhooks/{webhook}/deliveries/{event}`."""
    look = await request.app[CORE].delivery_log.look(request.match_info["webhook"], request.match_info["event"])
    body: Any = look.body
    if isinstance(body, Event):
        body = json.loads(event_bytes(body))
    elif isinstance(body, str):
        body = json.loads(body)
    return answer({**delivery_json(look.delivery), "body": body})


async def test(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/test`."""
    event, outcome = await request.app[CORE].delivery_log.test(request.match_info["webhook"])
    return answer(
        {
            "event": event,
            "delivered": outcome.error is None,
            "status": outcome.status,
            "duration_ms": outcome.duration_ms,
            "error": outcome.error,
            "response": outcome.text,
        }
    )


async def replay(request: web.Request) -> web.Response:
    """`POST /v1/webhooks/{webhook}/replay`."""
    body, webhook = await read_body(request, Replay), request.match_info["webhook"]
    named = body.model_fields_set - {"after"}
    if not any(getattr(body, name) is not None for name in named):
        raise InvalidInput("say what to replay: event, from, to, chat or dead", field="event")
    if body.event is not None:
        if named != {"event"} or body.after is not None:
            raise InvalidInput("one event is replayed alone, without other fields", field="event")
        queued = await request.app[CORE].delivery_log.replay_one(webhook, body.event)
    else:
        queued = await request.app[CORE].delivery_log.replay(
            webhook, since=body.from_, until=body.to, chat=body.chat, dead=body.dead is True, after=body.after or 0
        )
    return answer({"queued": queued.count, "next_after": queued.next_after}, 202)
