"""The sandbox in WhatsApp's place: what its descriptor says, and letting one of its virtual phones scan a code."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from zapwire.api.http.errors import HttpProblem
from zapwire.model.errors import SettingsError


class SandboxClient:
    """Another server in WhatsApp's place, by the address of its socket, and its admin API if it has one."""

    def __init__(self, socket_url: str, admin: str | None, http: aiohttp.ClientSession) -> None:
        self.socket_url = socket_url
        self._admin = None if admin is None else admin.rstrip("/")
        self.http = http
        self.origin = f"https://{urlsplit(self._admin or socket_url).netloc}"
        self.page = f"{self.origin}/"
        """Where people see the virtual phones."""

    @property
    def has_phones(self) -> bool:
        """Whether there are virtual phones to scan with."""
        return self._admin is not None

    async def scan(self, qr: str, phone: str | None, name: str) -> dict[str, Any]:
        """Let a virtual phone of that *name* scan *qr*; raises a 502 problem when the sandbox does not do it."""
        query = {"name": name} | ({} if phone is None else {"phone": phone})
        return await self._ask("POST", "/mock-phone/scan-qr", params=query, data=qr)

    async def demand_passkey(self, phone: str, name: str) -> None:
        """Make WhatsApp demand a passkey of that *phone*, which is made with its passkey when there is none."""
        await self._ask("POST", "/phones", json={"phone": phone, "push_name": name})
        await self._ask("PUT", f"/phones/{phone}/passkey", json={"demanded": True})

    async def answer_passkey(self, phone: str, question: Mapping[str, Any]) -> dict[str, Any]:
        """What a browser with that *phone*'s passkey answers to WhatsApp's *question*."""
        found = await self._ask("POST", f"/phones/{phone}/passkey/answer", json={"question": dict(question)})
        answer = found.get("answer")
        if not isinstance(answer, dict):
            raise HttpProblem(502, "sandbox", "the sandbox gave no answer of a passkey")
        return answer

    async def phone_asked(self, question: Mapping[str, Any]) -> str | None:
        """The phone whose pairing waits for the answer to *question*."""
        listed = (await self._ask("GET", "/phones")).get("phones")
        for one in listed if isinstance(listed, list) else []:
            phone = str(one.get("phone"))
            pairing = (await self._ask("GET", f"/phones/{phone}/passkey")).get("pairing") or {}
            if (pairing.get("question") or {}).get("challenge") == question.get("challenge"):
                return phone
        return None

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        """A call of the admin API; raises a 502 problem when it fails."""
        try:
            async with self.http.request(method, f"{self._admin}{path}", **options) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise HttpProblem(502, "sandbox", f"the sandbox does not answer: {type(error).__name__}") from error
        if answer.status >= 300:
            words = _object(text).get("detail", text[:300])
            raise HttpProblem(502, "sandbox", f"the sandbox said {answer.status}: {words}")
        return _object(text)


SANDBOX: web.AppKey[SandboxClient | None] = web.AppKey("sandbox")


def _object(text: str) -> dict[str, Any]:
    """A JSON object; an empty one when *text* is something else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@asynccontextmanager
async def open_sandbox(socket_url: str, ca: Path, admin: str | None) -> AsyncIterator[SandboxClient]:
    """The sandbox there, whose certificate *ca* has signed. Raises `SettingsError` when *ca* cannot be used."""
    try:
        trust = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"whatsapp_server: the certificate {ca} cannot be used: {error}", field="whatsapp_server"
        ) from None
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout) as http:
        yield SandboxClient(socket_url, admin, http)
