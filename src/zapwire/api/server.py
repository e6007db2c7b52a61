"""The web application, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aiohttp import web

from zapwire.api import routes
from zapwire.api.auth import Auth
from zapwire.api.bounds import BOTS_BOUND, WEBHOOKS_BOUND, Bound
from zapwire.api.endings import ENDINGS, Endings
from zapwire.api.keys import AUTH, CORE, ROUTES, SANDBOX, SETTINGS, WARNINGS
from zapwire.api.moving import IMPORTS, imports
from zapwire.api.origin import OriginGuard, add_headers, guard_middleware
from zapwire.api.problems import problem_middleware
from zapwire.api.sandbox import Sandbox
from zapwire.api.streams import STREAMS, Streams, close_streams
from zapwire.core.assembly import Core
from zapwire.settings import Settings
from zapwire.tasks import Tasks


def make_app(
    core: Core,
    settings: Settings,
    *,
    sandbox: Sandbox | None = None,
    fixed_tokens: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> web.Application:
    """The API and the pages over *core*; *fixed_tokens* are valid besides those in the database.

    *warnings* say what is weak about this installation.
    """
    app = web.Application(
        middlewares=[problem_middleware(), guard_middleware(OriginGuard(settings))], client_max_size=settings.max_body
    )
    app[CORE] = core
    app[SETTINGS] = settings
    app[AUTH] = Auth(core.tokens, fixed_tokens)
    app[SANDBOX] = sandbox
    app[WARNINGS] = list(warnings)
    app[STREAMS] = Streams(settings.max_streams)
    app[ENDINGS] = Endings(core.tokens)
    app[IMPORTS] = imports()
    app[BOTS_BOUND] = Bound("max_bots", settings.max_bots)
    app[WEBHOOKS_BOUND] = Bound("max_webhooks", settings.max_webhooks)
    phones = routes.SANDBOX if sandbox is not None and sandbox.has_phones else ()
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
