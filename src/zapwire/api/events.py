"""The journal to the outside: by page as JSON, as a WebSocket, or as Server-Sent Events; the same events everywhere."""

from __future__ import annotations

from aiohttp import web

from zapwire.api import sse, websocket
from zapwire.api.answers import answer
from zapwire.api.endings import while_allowed
from zapwire.api.inputs import Parameter, Seconds, Whole, Words
from zapwire.api.keys import CORE
from zapwire.api.problems import Problem
from zapwire.api.streams import gap_json
from zapwire.core.codec import event_json

AFTER = Whole(
    "after", "Only events after this `seq`. Without it a stream starts with what comes, a page at the beginning."
)
LIMIT = Whole("limit", "Most events in one page; not for streams.", minimum=1, maximum=1000, default=100)
WAIT = Seconds("wait", "How long to wait for a first event when there is none yet, at most 60 s; not for streams.")
BOTS = Words("bots", "Only events of these bots, separated by commas.")
TYPES = Words("types", "Only events of these types or families (`message.*`), separated by commas.")
LAST_EVENT_ID = Whole(
    "Last-Event-ID", "Of Server-Sent Events: as `after`, and wins over it, as a browser resends both."
)


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /v1/events`."""
    live = request.app[CORE].live
    after, bots, types = AFTER.read(request), BOTS.read(request), TYPES.read(request)
    if request.headers.get("Upgrade", "").lower() == "websocket":
        _refuse_of_pages(request)
        return await websocket.serve(request, live.follower(after, bots=bots, types=types))
    if sse.CONTENT_TYPE in request.headers.get("Accept", ""):
        _refuse_of_pages(request)
        last = _last_event_id(request)
        return await sse.serve(request, live.follower(after if last is None else last, bots=bots, types=types))
    limit, wait = LIMIT.read(request) or 100, WAIT.read(request)
    page = None
    if wait > 0:
        page = await while_allowed(request, live.page(after, bots=bots, types=types, limit=limit, wait=wait))
    if page is None:
        page = await live.page(after, bots=bots, types=types, limit=limit)
    return answer(
        {
            "events": [event_json(event) for event in page.events],
            "next_after": page.next_after,
            "last_seq": await live.last_seq(),
            "gap": None if page.gap is None else gap_json(page.gap),
        }
    )


def _last_event_id(request: web.Request) -> int | None:
    text = request.headers.get(LAST_EVENT_ID.name)
    return LAST_EVENT_ID.read_text(text) if text else None


def _refuse_of_pages(request: web.Request) -> None:
    of_pages: tuple[Parameter, ...] = (LIMIT, WAIT)
    for parameter in of_pages:
        if parameter.name in request.query:
            raise Problem(
                422, "invalid-input", "is for pages; a stream has none", field=parameter.name,
                title="A value in the request cannot work",
            )  # fmt: skip
