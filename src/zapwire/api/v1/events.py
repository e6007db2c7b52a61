"""The journal to the outside: by page as JSON, as a WebSocket, or as Server-Sent Events; the same events everywhere."""

from __future__ import annotations

from functools import partial

from aiohttp import web

from zapwire.api.http import string_formats
from zapwire.api.http.context import CORE
from zapwire.api.http.errors import HttpProblem
from zapwire.api.http.lifetimes import while_allowed
from zapwire.api.http.requests import IntegerParameter, Parameter, SecondsParameter, WordsParameter
from zapwire.api.streaming import sse, websocket
from zapwire.api.streaming.common import gap_json
from zapwire.core.events.serializers import event_bytes
from zapwire.core.events.subscriptions import EventGap, EventPage
from zapwire.runtime.json_encoder import encode_bytes

AFTER = IntegerParameter(
    "after", "Only events after this `seq`. Without it a stream starts with what comes, a page at the beginning."
)
LARGEST_PAGE = 4 << 20
"""Bytes of the events in one page, unless the first one alone has more."""
_AT_ONCE = 50
"""Events that are read in one go."""

LIMIT = IntegerParameter(
    "limit", "Most events in one page, which also ends at 4 MB; not for streams.", minimum=1, maximum=1000, default=100
)
WAIT = SecondsParameter(
    "wait", "How long to wait for a first event when there is none yet, at most 60 s; not for streams."
)
BOTS = WordsParameter("bots", "Only events of these bots, separated by commas.")
TYPES = WordsParameter(
    "types",
    "Only events of these types or families (`message.*`), separated by commas.",
    {"enum": ["*", *string_formats.TYPES]},
)
LAST_EVENT_ID = IntegerParameter(
    "Last-Event-ID", "Of Server-Sent Events: as `after`, and wins over it, as a browser resends both."
)


async def events(request: web.Request) -> web.StreamResponse:
    """`GET /v1/events`."""
    live = request.app[CORE].subscriptions
    after, bots, types = AFTER.read(request), BOTS.read(request), TYPES.read(request)
    last = _last_event_id(request)
    if request.headers.get("Upgrade", "").lower() == "websocket":
        _refuse_of_pages(request)
        return await websocket.serve(request, live.follower(after, bots=bots, types=types))
    if sse.CONTENT_TYPE in request.headers.get("Accept", ""):
        _refuse_of_pages(request)
        return await sse.serve(request, live.follower(after if last is None else last, bots=bots, types=types))
    return await _read_page(request, after, bots, types)


async def _read_page(
    request: web.Request, after: int | None, bots: list[str] | None, types: list[str] | None
) -> web.Response:
    live, limit, wait = request.app[CORE].subscriptions, LIMIT.read(request) or 100, WAIT.read(request)
    read = partial(live.page, bots=bots, types=types)
    most = min(limit, _AT_ONCE)
    page = await while_allowed(request, read(after, limit=most, wait=wait)) if wait > 0 else None
    page = page or await read(after, limit=most)
    made = _Page(page.gap)
    while made.take(page) and len(page.events) == most and made.count < limit:
        most = min(limit - made.count, _AT_ONCE)
        page = await read(made.next_after, limit=most)
        if page.gap is not None:
            break  # for the next page to tell
    return made.answer(await live.last_seq())


class _Page:
    """A page in the making: events as JSON, no more than fit."""

    def __init__(self, gap: EventGap | None) -> None:
        self._gap = gap
        self._events: list[bytes] = []
        self._size = 0
        self.next_after = 0

    @property
    def count(self) -> int:
        """How many events it has."""
        return len(self._events)

    def take(self, page: EventPage) -> bool:
        """Take over these events; False when they do not all fit."""
        for event in page.events:
            encoded = event_bytes(event)
            self._size += len(encoded)
            if self._events and self._size > LARGEST_PAGE:
                return False
            self._events.append(encoded)
            self.next_after = event.seq
        self.next_after = page.next_after
        return True

    def answer(self, last_seq: int) -> web.Response:
        """The whole page."""
        gap = None if self._gap is None else gap_json(self._gap)
        rest = encode_bytes({"next_after": self.next_after, "last_seq": last_seq, "gap": gap})
        body = b'{"events":[%b],%b' % (b",".join(self._events), rest[1:])
        return web.Response(body=body, content_type="application/json", charset="utf-8")


def _last_event_id(request: web.Request) -> int | None:
    text = request.headers.get(LAST_EVENT_ID.name)
    return LAST_EVENT_ID.read_text(text) if text else None


def _refuse_of_pages(request: web.Request) -> None:
    of_pages: tuple[Parameter, ...] = (LIMIT, WAIT)
    for parameter in of_pages:
        if parameter.name in request.query:
            raise HttpProblem(
                422, "invalid-input", "is for pages; a stream has none", field=parameter.name,
                title="Invalid request",
            )  # fmt: skip
