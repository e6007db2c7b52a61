"""The web application, put together."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from zapwire.api import routes
from zapwire.api.auth import Auth
from zapwire.api.keys import AUTH, CORE, ROUTES, SANDBOX, SETTINGS, WARNINGS
from zapwire.api.origin import OriginGuard, add_headers, guard_middleware
from zapwire.api.problems import problem_middleware
from zapwire.api.sandbox import Sandbox
from zapwire.api.streams import STREAMS, Streams, close_streams
from zapwire.core.assembly import Core
from zapwire.settings import Settings


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
        middlewares=[problem_middleware, guard_middleware(OriginGuard(settings))], client_max_size=settings.max_body
    )
    app[CORE] = core
    app[SETTINGS] = settings
    app[AUTH] = Auth(core.tokens, fixed_tokens)
    app[SANDBOX] = sandbox
    app[WARNINGS] = list(warnings)
    app[STREAMS] = Streams(settings.max_streams)
    phones = routes.SANDBOX if sandbox is not None and sandbox.has_phones else ()
    app[ROUTES] = (*routes.API, *phones, *routes.PAGES)
    for route in app[ROUTES]:
        route.add_to(app)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(close_streams)
    return app
