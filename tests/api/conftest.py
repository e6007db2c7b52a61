"""The real web application on port 0, over the real core and store, with a scripted transport."""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from playwright.async_api import Page, async_playwright

from tests.core.scripted import registered
from tests.harness.keys import KEYS
from tests.harness.scripted import ScriptedTransport, ScriptedTransports
from zapwire.api.http import listener as listening
from zapwire.api.http import openapi
from zapwire.api.http.client_connections import ClientConnections
from zapwire.api.http.context import ROUTES
from zapwire.api.sandbox.client import SandboxClient
from zapwire.api.server import make_app
from zapwire.api.v1.schemas.events import EVENTS
from zapwire.core.wiring import Core, open_core
from zapwire.settings import Settings
from zapwire.store.sqlite.database import Database

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]

TOKEN = "an-admin-token-of-the-tests-0123456789"


@dataclass
class Api:
    """The application under test, as a client sees it."""

    url: str
    app: web.Application
    core: Core
    transports: ScriptedTransports
    http: aiohttp.ClientSession
    connections: ClientConnections
    headers: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {TOKEN}"})

    async def raw(self, method: str, path: str, **options: Any) -> tuple[int, aiohttp.typedefs.LooseHeaders, bytes]:
        headers = {**self.headers, **options.pop("headers", {})}
        async with self.http.request(method, self.url + path, headers=headers, **options) as answer:
            return answer.status, answer.headers, await answer.read()

    async def ask(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Status and decoded body."""
        if body is not None:
            options["json"] = body
        status, _, content = await self.raw(method, path, **options)
        return status, json.loads(content) if content else None

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        """A call that has to work."""
        status, answer = await self.ask(method, path, body, **options)
        assert status < 300, (status, answer)
        return answer

    def transport(self, bot: str) -> ScriptedTransport:
        return self.transports[bot]

    async def connected(self, bot: str) -> ScriptedTransport:
        """Create a bot and bring it to `connected`."""
        after = await self.core.subscriptions.last_seq()
        await self.call("POST", "/v1/bots", {"id": bot})
        await self.call("GET", f"/v1/bots/{bot}/qr?wait=5")
        self.transport(bot).scan()
        async for event in self.core.subscriptions.follow(after, bots=[bot], types=["bot.state"]):
            if event.data["state"] == "connected":
                return self.transport(bot)
        raise AssertionError


@asynccontextmanager
async def listen(app: web.Application, most: int) -> AsyncIterator[tuple[str, ClientConnections]]:
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with listening.serve(app, listener, drain=1, most=most) as connections:
        yield url, connections


async def serve(app: web.Application) -> AsyncIterator[str]:
    async with listen(app, 100) as (url, _):
        yield url


def watch_answers(app: web.Application) -> set[tuple[str, str, int]]:
    """Method, path and status of all answers from now on that the document does not know."""
    known = {
        (method.upper(), path): {int(status) for status in operation["responses"]}
        for path, operations in openapi.document(app[ROUTES], EVENTS)["paths"].items()
        for method, operation in operations.items()
    }
    found: set[tuple[str, str, int]] = set()

    async def note(request: web.Request, response: web.StreamResponse) -> None:
        place = request.match_info.route.resource
        call = ("GET" if request.method == "HEAD" else request.method, place.canonical if place else "")
        if call in known and response.status not in known[call]:
            found.add((*call, response.status))

    app.on_response_prepare.append(note)
    return found


async def open_api(
    folder: Path,
    sandbox: SandboxClient | None = None,
    kind: type[ScriptedTransport] = ScriptedTransport,
    **settings: Any,
) -> AsyncIterator[Api]:
    transports = ScriptedTransports(pairs=True, kind=kind)
    told = Settings(**{"webhook_allow_networks": "127.0.0.0/8,::1/128", **settings})
    networks = told.webhook_allow_networks
    async with (
        Database.open(folder / "zapwire.db", KEYS) as database,
        open_core(database, registered(transports), webhook_networks=networks) as core,
    ):
        app = make_app(core, told, sandbox=sandbox, fixed_tokens=[TOKEN])
        undocumented = watch_answers(app)
        async with listen(app, told.max_connections) as (url, connections), aiohttp.ClientSession() as http:
            yield Api(url, app, core, transports, http, connections)
        assert undocumented == set(), "answers that the OpenAPI document does not know"


@pytest_asyncio.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async for one in open_api(tmp_path, max_body=4096, max_streams=3):
        yield one


@pytest.fixture(scope="session")
def chromium() -> str:
    found = subprocess.run([Path("tools/find-chromium").absolute()], check=True, capture_output=True, text=True)
    return found.stdout.strip()


@pytest_asyncio.fixture
async def page(chromium: str) -> AsyncIterator[Page]:
    """A tab that fails the test when it complains, or asks for anything elsewhere than on loopback."""
    complaints: list[str] = []
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(executable_path=chromium, args=FLAGS)
        tab = await browser.new_page(viewport={"width": 1180, "height": 900})
        tab.set_default_timeout(15_000)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("console", lambda line: complaints.append(line.text) if "Content Security" in line.text else None)
        tab.on(
            "request",
            lambda request: (
                complaints.append(request.url)
                if not re.match(r"(https?|wss?)://127\.0\.0\.1:|data:", request.url)
                else None
            ),
        )
        yield tab
        await browser.close()
    assert complaints == []
