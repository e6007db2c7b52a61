"""The sandbox in its own process, and its admin API."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any, Self

import aiohttp

from tests.harness.program import Program
from zapwire.transport.whatsapp_web.engine.protos import e2e


class Sandbox:
    """`zapwire sandbox` on a port of its own; stop and start again keep the state."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.descriptor: dict[str, Any] = {}
        self._program = Program(
            folder / "sandbox.log",
            "zapwire",
            "sandbox",
            "--listen",
            "127.0.0.1:0",
            "--state",
            str(folder / "state.json"),
            *options,
        )
        self._http: aiohttp.ClientSession | None = None

    @property
    def descriptor_file(self) -> Path:
        return self.folder / "descriptor.json"

    @property
    def pid(self) -> int:
        return self._program.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        await self._program.start()
        self.descriptor = json.loads(await self._program.line("socket_url"))
        self.descriptor_file.write_text(json.dumps(self.descriptor))
        trust = ssl.create_default_context(cafile=self.descriptor["ca"])
        self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust))

    async def stop(self) -> int:
        if self._http is not None:
            await self._http.close()
        return await self._program.stop()

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """One admin call; raises AssertionError with the problem when it is refused."""
        assert self._http is not None
        content = {"data": body} if isinstance(body, str) else {"json": body}
        async with self._http.request(method, self.descriptor["admin"] + path, params=query, **content) as answer:
            text = await answer.text()
            assert answer.status < 300, f"{method} {path}: {answer.status} {text}"
            return json.loads(text) if text else None

    async def raw(self, path: str) -> bytes:
        """What is served at *path*, as it is."""
        assert self._http is not None
        async with self._http.get(self.descriptor["admin"] + path) as answer:
            answer.raise_for_status()
            return await answer.read()

    async def phone(self, number: str, push_name: str = "") -> Phone:
        """A virtual phone with this number (digits)."""
        await self.call("POST", "/phones", {"phone": number, "push_name": push_name or f"Phone {number}"})
        return Phone(self, number)


class Phone:
    """One virtual phone."""

    def __init__(self, sandbox: Sandbox, number: str) -> None:
        self.sandbox = sandbox
        self.number = number
        self._seen = 0

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        return await self.sandbox.call(method, f"/phones/{self.number}{path}", body, **query)

    async def scan(self, qr: str) -> None:
        await self.call("POST", "/scan", {"qr": qr})

    async def enter_code(self, code: str) -> None:
        await self.call("POST", "/enter-code", {"code": code})

    async def send(self, to: str, text: str) -> str:
        """Send a text to another number; returns the message's id."""
        return str((await self.call("POST", "/send", {"to": to, "text": text}))["id"])

    async def say(self, to: str, **content: Any) -> str:
        """Send any content, as the admin API takes it; returns the message's id."""
        return str((await self.call("POST", "/send", {"to": to, **content}))["id"])

    async def message(self, message_id: str) -> Any:
        """A message that this phone got or sent, as its waE2E.Message."""
        return e2e.Message.FromString(await self.sandbox.raw(f"/phones/{self.number}/messages/{message_id}/protobuf"))

    async def read(self, **body: Any) -> None:
        await self.call("POST", "/read", body)
