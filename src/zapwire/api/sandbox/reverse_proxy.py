"""The sandbox's page over plain HTTP on loopback: browsers do not know the sandbox's own certificate authority."""

from __future__ import annotations

import aiohttp
from aiohttp import web

from zapwire.api.http.errors import HttpProblem, problem_middleware
from zapwire.api.http.host_guard import HostGuard, add_headers, guard_middleware
from zapwire.api.http.requests import read_all
from zapwire.api.sandbox.client import SandboxClient
from zapwire.settings import Address, Settings

_PASSED_ON = ("Content-Type", "Content-Security-Policy", "Cache-Control", "ETag", "X-Content-Type-Options")
_PATIENCE = aiohttp.ClientTimeout(total=120)
"""The sandbox's page asks and waits for news."""


def make_relay(sandbox: SandboxClient, settings: Settings) -> web.Application:
    """Pass the page, its files and the admin API on, and nothing else; foreign pages are refused like everywhere."""

    async def relay(request: web.Request) -> web.Response:
        if request.path != "/" and not request.path.startswith(("/page/", "/admin/")):
            raise web.HTTPNotFound
        kind = {"Content-Type": request.headers["Content-Type"]} if "Content-Type" in request.headers else {}
        try:
            async with sandbox.http.request(
                request.method,
                sandbox.origin + request.raw_path,
                data=await read_all(request),
                headers=kind,
                timeout=_PATIENCE,
            ) as answer:
                headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
                return web.Response(status=answer.status, body=await answer.read(), headers=headers)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise HttpProblem(502, "sandbox", f"the sandbox does not answer: {type(error).__name__}") from error

    # it listens on loopback wherever the daemon does
    guard = HostGuard(settings.model_copy(update={"listen": Address("127.0.0.1", 0)}))
    app = web.Application(middlewares=[problem_middleware(), guard_middleware(guard)])
    app.on_response_prepare.append(add_headers)
    app.router.add_route("*", "/{path:.*}", relay)
    return app
