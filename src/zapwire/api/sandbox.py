"""The sandbox in WhatsApp's place: what its descriptor says, and letting one of its virtual phones scan a code."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from zapwire.api.problems import Problem
from zapwire.errors import SettingsError


class Sandbox:
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
        url = f"{self._admin}/mock-phone/scan-qr"
        try:
            async with self.http.post(url, params=query, data=qr) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Problem(502, "sandbox", f"the sandbox does not answer: {type(error).__name__}") from error
        if answer.status >= 300:
            words = _object(text).get("detail", text[:300])
            raise Problem(502, "sandbox", f"the sandbox said {answer.status}: {words}")
        return _object(text)


def _object(text: str) -> dict[str, Any]:
    """A JSON object; an empty one when *text* is something else."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


@asynccontextmanager
async def open_sandbox(socket_url: str, ca: Path, admin: str | None) -> AsyncIterator[Sandbox]:
    """The sandbox there, whose certificate *ca* has signed. Raises `SettingsError` when *ca* cannot be used."""
    try:
        trust = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"whatsapp_server: the certificate {ca} cannot be used: {error}", field="whatsapp_server"
        ) from None
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout) as http:
        yield Sandbox(socket_url, admin, http)
