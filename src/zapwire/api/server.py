"""The web application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from zapwire.api import routes
from zapwire.api.http.auth import Auth
from zapwire.api.http.context import AUTH, CORE, ROUTES, SETTINGS, WARNINGS, WHATSAPP_SERVER
from zapwire.api.http.errors import problem_middleware
from zapwire.api.http.host_guard import HostGuard, add_headers, guard_middleware
from zapwire.api.http.lifetimes import ENDINGS, Lifetimes
from zapwire.api.http.openapi import EVENT_MODELS
from zapwire.api.sandbox.client import SANDBOX, SandboxClient
from zapwire.api.streaming.common import STREAMS, Streams, close_streams
from zapwire.api.v1.capacity import BOTS_BOUND, WEBHOOKS_BOUND, CapacityBound
from zapwire.api.v1.schemas.events import EVENTS
from zapwire.api.v1.transfer import IMPORTS, imports
from zapwire.core.wiring import Core
from zapwire.runtime.tasks import Tasks
from zapwire.settings import Settings


def make_app(
    core: Core,
    settings: Settings,
    *,
    sandbox: SandboxClient | None = None,
    fixed_tokens: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> web.Application:
    """The API and the pages over *core*; *fixed_tokens* are valid besides those in the database.

    *warnings* say what is weak about this installation.
    """
    app = web.Application(
        middlewares=[problem_middleware(), guard_middleware(HostGuard(settings))], client_max_size=settings.max_body
    )
    app[CORE] = core
    app[SETTINGS] = settings
    app[AUTH] = Auth(core.tokens, fixed_tokens)
    app[SANDBOX] = sandbox
    app[WHATSAPP_SERVER] = "WhatsApp" if sandbox is None else sandbox.socket_url
    app[WARNINGS] = list(warnings)
    app[STREAMS] = Streams(settings.max_streams)
    app[ENDINGS] = Lifetimes(core.tokens)
    app[IMPORTS] = imports()
    app[BOTS_BOUND] = CapacityBound("max_bots", settings.max_bots)
    app[WEBHOOKS_BOUND] = CapacityBound("max_webhooks", settings.max_webhooks)
    phones = routes.SANDBOX if sandbox is not None and sandbox.has_phones else ()
    app[EVENT_MODELS] = EVENTS
    app[ROUTES] = (*routes.API, *phones, *routes.PAGES)
    for route in app[ROUTES]:
        route.add_to(app)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(close_streams)
    app.cleanup_ctx.append(_look_for_revoked_tokens)
    return app


async def _look_for_revoked_tokens(app: web.Application) -> AsyncIterator[None]:
    tasks = Tasks()
    tasks.spawn(app[ENDINGS].run(), "the look for revoked tokens")
    yield
    await tasks.cancel()
