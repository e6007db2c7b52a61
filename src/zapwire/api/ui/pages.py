"""The local pages: a few files of our own, nothing from outside."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from aiohttp import web

from zapwire.api.http.errors import Handler
from zapwire.api.http.openapi import show as show_openapi
from zapwire.api.http.routing import Access, Route
from zapwire.api.ui import extension

_TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def file(name: str) -> Handler:
    """A handler that serves this file of the folder `page`."""

    async def serve(request: web.Request) -> web.Response:
        body, tag = _read(name)
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=_TYPES[name.rpartition(".")[2]], charset="utf-8", headers=headers)

    return serve


@cache
def _read(name: str) -> tuple[bytes, str]:
    body = files("zapwire.api.ui").joinpath("static", name).read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'


ROUTES: tuple[Route, ...] = (
    extension.ROUTE,
    Route("GET", "/", file("index.html"), "The page", access=Access.PUBLIC, documented=False),
    Route("GET", "/docs", file("docs.html"), "The API's documentation", access=Access.PUBLIC, documented=False),
    Route("GET", "/openapi.json", show_openapi, "The OpenAPI document", access=Access.PUBLIC, documented=False),
    *(
        Route("GET", f"/page/{name}", file(name), "A file of the pages", access=Access.PUBLIC, documented=False)
        for name in ("app.js", "api.js", "passkey.js", "tabs.js", "view.js", "docs.js", "style.css", "icon.svg")
    ),
)
