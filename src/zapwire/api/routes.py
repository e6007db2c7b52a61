"""All calls: the tables of the rooms, joined."""

from __future__ import annotations

from zapwire.api import prometheus
from zapwire.api.http.routing import Route
from zapwire.api.sandbox import routes as sandbox
from zapwire.api.ui import pages
from zapwire.api.v1 import table

API: tuple[Route, ...] = (*table.ROUTES, prometheus.ROUTE)
SANDBOX: tuple[Route, ...] = sandbox.ROUTES
PAGES: tuple[Route, ...] = pages.ROUTES
