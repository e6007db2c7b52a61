"""What handlers find in the application, by typed keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from zapwire.api.auth import Auth
from zapwire.api.sandbox import Sandbox
from zapwire.core.assembly import Core
from zapwire.core.vitals import Vitals
from zapwire.runs import Start
from zapwire.settings import Settings

if TYPE_CHECKING:
    from zapwire.api.routing import Route

CORE = web.AppKey("core", Core)
SETTINGS = web.AppKey("settings", Settings)
START = web.AppKey("start", Start)
VITALS = web.AppKey("vitals", Vitals)
AUTH = web.AppKey("auth", Auth)
SANDBOX: web.AppKey[Sandbox | None] = web.AppKey("sandbox")
WARNINGS: web.AppKey[list[str]] = web.AppKey("warnings")
"""What is weak about this installation, in words; `/readyz` and the page repeat them."""
ROUTES: web.AppKey[tuple[Route, ...]] = web.AppKey("routes")
