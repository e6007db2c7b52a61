"""Is the process there, and can it do its work."""

from __future__ import annotations

from dataclasses import asdict

from aiohttp import web

from zapwire import __version__
from zapwire.api.http.context import CORE, SELF_CHECK, START, WARNINGS, WHATSAPP_SERVER
from zapwire.api.http.responses import answer
from zapwire.core.events.serializers import timestamp_or_none
from zapwire.model.errors import StoreError


async def live(_: web.Request) -> web.Response:
    """`GET /livez`: the event loop turns."""
    return answer({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """`GET /readyz`: the database takes and gives; a problem otherwise. Bots without connection do not count."""
    start, self_check = request.app.get(START), request.app.get(SELF_CHECK)
    if self_check is None:
        await request.app[CORE].check()
    elif self_check.database.words is not None:  # asked a moment ago: nobody without a token may have anything written
        raise StoreError(self_check.database.words)
    return answer(
        {
            "status": "ready",
            "version": __version__,
            "whatsapp_server": request.app[WHATSAPP_SERVER],
            "warnings": request.app[WARNINGS],
            "started_at": timestamp_or_none(start.at if start else None),
            "started_because": start.reason if start else None,
            "alerts": sorted(self_check.alerts) if self_check else [],
            "whatsapp_version": asdict(request.app[CORE].stats.version),
        }
    )
