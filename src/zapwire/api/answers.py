"""Making answers."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web


def answer(body: dict[str, Any], status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.json_response(body, status=status, dumps=_dumps)


def nothing() -> web.Response:
    """204."""
    return web.Response(status=204)


def _dumps(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
