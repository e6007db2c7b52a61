"""What handlers find in the application, by typed keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from zapwire.api.http.auth import Auth
from zapwire.core.monitoring.self_check import SelfCheck
from zapwire.core.wiring import Core
from zapwire.runtime.run_marker import RunStart
from zapwire.settings import Settings

if TYPE_CHECKING:
    from zapwire.api.http.routing import Route

CORE = web.AppKey("core", Core)
SETTINGS = web.AppKey("settings", Settings)
START = web.AppKey("start", RunStart)
SELF_CHECK = web.AppKey("vitals", SelfCheck)
AUTH = web.AppKey("auth", Auth)
WARNINGS: web.AppKey[list[str]] = web.AppKey("warnings")
"""What is weak about this installation, in words; `/readyz` and the page repeat them."""
WHATSAPP_SERVER: web.AppKey[str] = web.AppKey("whatsapp-server")
"""`WhatsApp`, or the address of the server in its place."""
ROUTES: web.AppKey[tuple[Route, ...]] = web.AppKey("routes")
