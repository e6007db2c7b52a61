"""The page at `/` of the sandbox: the virtual phones as chat windows."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from aiohttp import web

from zapwire.sandbox.admin.errors import Handler

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
FILES: Final = {
    "/": ("index.html", "text/html"),
    "/page/phones.css": ("phones.css", "text/css"),
    "/page/icon.svg": ("icon.svg", "image/svg+xml"),
    "/page/api.js": ("api.js", "text/javascript"),
    "/page/chats.js": ("chats.js", "text/javascript"),
    "/page/passkey.js": ("passkey.js", "text/javascript"),
    "/page/phones.js": ("phones.js", "text/javascript"),
}


def routes() -> list[web.RouteDef]:
    """The page's files."""
    return [web.get(path, _serve(*file)) for path, file in FILES.items()]


def _serve(name: str, content_type: str) -> Handler:
    body = files(__package__).joinpath(name).read_bytes()

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=HEADERS)

    return answer
