"""Making answers."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from zapwire.runtime.json_encoder import encode


def answer(body: dict[str, Any], status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(body, status=status, dumps=encode)


def nothing() -> web.Response:
    """204."""
    return web.Response(status=204)
