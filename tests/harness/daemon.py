"""The daemon as a subprocess on port 0, and its API."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.harness.program import Program
from zapwire.api.v1.schemas.events import EVENTS
from zapwire.model.events import EventType

LISTENING = re.compile(r"http://[\d.]+:\d+")


class Daemon:
    """`zapwire serve`; `stop` or `kill`, then `start` again, keeps its folder."""

    def __init__(self, folder: Path, descriptor: Path | None = None, **env: str) -> None:
        self.folder = folder
        self.token = secrets.token_urlsafe(32)
        self.url = ""
        settings = {
            "ZAPWIRE_LISTEN": "127.0.0.1:0",
            "ZAPWIRE_SESSIONS_DIR": str(folder / "sessions"),
            "ZAPWIRE_ADMIN_TOKEN": self.token,
            "ZAPWIRE_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
            "ZAPWIRE_PROXY_ALLOW_NETWORKS": "127.0.0.0/8",
            "PYTHONUNBUFFERED": "1",
            # tests look into its /proc; who is not root may do so only then
            **({"ZAPWIRE_CORE_DUMPS": "true"} if os.geteuid() != 0 else {}),
            **env,
        }
        if descriptor is not None:
            settings["ZAPWIRE_WHATSAPP_SERVER"] = str(descriptor)
        self.program = Program(folder / "daemon.log", "zapwire", "serve", env=settings)
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        await self.program.start()
        await self._enter()

    async def renew(self) -> None:
        """Let it restart itself: the same process, another address as its port is 0."""
        self.program.output.clear()
        os.kill(self.program.pid, signal.SIGUSR2)
        await self._leave()
        await self._enter()

    async def _enter(self) -> None:
        match = LISTENING.search(await self.program.line("listening on"))
        assert match is not None
        self.url = match[0]
        self._http = aiohttp.ClientSession(
            self.url, headers={"Authorization": f"Bearer {self.token}"}, timeout=aiohttp.ClientTimeout(90)
        )

    async def stop(self) -> int:
        return await self.end(signal.SIGTERM)

    async def kill(self) -> int:
        return await self.end(signal.SIGKILL)

    async def end(self, how: signal.Signals) -> int:
        await self._leave()
        return await self.program.stop(how)

    async def _leave(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    @property
    def http(self) -> aiohttp.ClientSession:
        """For requests whose bodies are no JSON; it has the token."""
        assert self._http is not None, "it does not run"
        return self._http

    @property
    def log(self) -> str:
        return (self.folder / "daemon.log").read_text()

    async def ask(
        self, method: str, path: str, body: Any = None, *, once: str | None = None, **query: Any
    ) -> tuple[int, Any]:
        """One API call, with *once* as its Idempotency-Key; returns the status and the decoded body."""
        headers = {"Idempotency-Key": once} if once is not None else {}
        assert self._http is not None
        async with self._http.request(method, path, json=body, params=query, headers=headers) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One API call that has to work."""
        status, answer = await self.ask(method, path, body, **query)
        assert status < 300, f"{method} {path}: {status} {answer}"
        return answer

    async def text(self, path: str) -> str:
        """What is served at *path*, as it is."""
        assert self._http is not None
        async with self._http.get(path) as answer:
            return await answer.text()

    async def add_bot(self, bot: str) -> None:
        await self.call("POST", "/v1/bots", {"id": bot})

    async def qr(self, bot: str) -> str:
        return str((await self.call("GET", f"/v1/bots/{bot}/qr", wait=30))["code"])

    async def send(self, bot: str, to: str, text: str, **query: Any) -> Any:
        """Send a text to an address, or to a number in digits."""
        to = f"+{to}" if to.isdecimal() else to
        return await self.call("POST", f"/v1/bots/{bot}/messages", {"to": to, "type": "text", "text": text}, **query)

    def events(self, *types: str, after: int | None = None) -> Events:
        """The events after this one, or those that come from now on; use as an async context manager."""
        assert self._http is not None
        return Events(self._http, ",".join(types), after)

    async def until_state(self, bot: str, state: str, within: float = 45) -> dict[str, Any]:
        """Wait until the bot is in this state; returns the bot."""
        async with self.events("bot.state") as events:
            now = await self.call("GET", f"/v1/bots/{bot}")
            if now["state"] == state:
                return dict(now)
            event = await events.until(lambda e: e["bot"] == bot and e["data"]["state"] == state, within)
            return dict(event["data"])


class Events:
    """One WebSocket on `/v1/events`."""

    def __init__(self, http: aiohttp.ClientSession, types: str, after: int | None) -> None:
        self._http = http
        wanted = {"after": after, "types": types or None}
        self._query = {name: str(value) for name, value in wanted.items() if value is not None}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self.seen: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        self._socket = await self._http.ws_connect("/v1/events", params=self._query)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._socket is not None
        await self._socket.close()

    async def next(self, within: float = 45) -> dict[str, Any]:
        assert self._socket is not None
        event = await self._socket.receive_json(timeout=within)
        if event["type"] != "stream.gap":
            EVENTS[EventType(event["type"])].model_validate(event)
        self.seen.append(event)
        return dict(event)

    async def until(self, wanted: Any, within: float = 45) -> dict[str, Any]:
        """The first event for which *wanted* is true."""
        while True:
            event = await self.next(within)
            if wanted(event):
                return event
