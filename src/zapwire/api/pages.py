"""The local pages: a few files of our own, nothing from outside."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from aiohttp import web

from zapwire.api.problems import Handler

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
    body = files("zapwire.api").joinpath("page", name).read_bytes()
    return body, f'"{hashlib.sha256(body).hexdigest()[:16]}"'
