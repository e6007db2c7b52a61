"""Is the process there, and can it do its work."""

from __future__ import annotations

from aiohttp import web

from zapwire import __version__
from zapwire.api.answers import answer
from zapwire.api.keys import CORE, SANDBOX, START, VITALS, WARNINGS
from zapwire.core.codec import timestamp_or_none
from zapwire.errors import StoreError


async def live(_: web.Request) -> web.Response:
    """`GET /livez`: the event loop turns."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """`GET /readyz`: the database takes and gives; a problem otherwise. Bots without connection do not count."""
    start, vitals = request.app.get(START), request.app.get(VITALS)
    if vitals is None:
        await request.app[CORE].check()
    elif vitals.database.words is not None:  # asked a moment ago: nobody without a token may have anything written
        raise StoreError(vitals.database.words)
    sandbox = request.app[SANDBOX]
    server = "WhatsApp" if sandbox is None else sandbox.socket_url
    return answer(
        {
            "status": "ready",
            "version": __version__,
            "whatsapp_server": server,
            "warnings": request.app[WARNINGS],
            "started_at": timestamp_or_none(start.at if start else None),
            "started_because": start.reason if start else None,
            "alerts": sorted(vitals.alerts) if vitals else [],
        }
    )
