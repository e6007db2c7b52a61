"""The sandbox in WhatsApp's place: what its descriptor says, and letting one of its virtual phones scan a code."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from zapwire.api.problems import Problem
from zapwire.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Another WhatsApp server, as `zapwire sandbox` prints it; *admin* is absent when it is no sandbox of ours."""

    socket_url: str
    ca: Path
    admin: str | None

    @classmethod
    def read(cls, file: Path) -> Descriptor:
        """Raises `SettingsError` when the file cannot be used."""
        try:
            content = json.loads(file.read_text())
            admin = content.get("admin")
            found = cls(
                str(content["socket_url"]), Path(content["ca"]), None if admin is None else str(admin).rstrip("/")
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SettingsError(
                f"whatsapp_server ({file}): not a server's descriptor: {type(error).__name__}: {error}",
                field="whatsapp_server",
            ) from None
        return found


class Sandbox:
    """Talks to the sandbox's admin API."""

    def __init__(self, descriptor: Descriptor, http: aiohttp.ClientSession) -> None:
        self._descriptor = descriptor
        self._http = http

    @property
    def socket_url(self) -> str:
        """The server that the engine talks to."""
        return self._descriptor.socket_url

    @property
    def has_phones(self) -> bool:
        """Whether there are virtual phones to scan with."""
        return self._descriptor.admin is not None

    @property
    def page(self) -> str:
        """Where the sandbox shows its virtual phones."""
        admin = urlsplit(self._descriptor.admin or self._descriptor.socket_url)
        return f"https://{admin.netloc}/"

    async def scan(self, qr: str, phone: str | None) -> dict[str, Any]:
        """Let a virtual phone scan *qr*; raises a 502 problem when the sandbox does not do it."""
        query = {} if phone is None else {"phone": phone}
        url = f"{self._descriptor.admin}/mock-phone/scan-qr"
        try:
            async with self._http.post(url, params=query, data=qr) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Problem(502, "sandbox", f"the sandbox does not answer: {type(error).__name__}") from error
        if answer.status >= 300:
            raise Problem(502, "sandbox", f"the sandbox said {answer.status}: {text[:300]}")
        try:
            found = json.loads(text)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


@asynccontextmanager
async def open_sandbox(file: Path | None) -> AsyncIterator[Sandbox | None]:
    """The sandbox that *file* describes; None without a file. Raises `SettingsError`."""
    if file is None:
        yield None
        return
    descriptor = Descriptor.read(file)
    try:
        trust = ssl.create_default_context(cafile=descriptor.ca)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(
            f"whatsapp_server ({file}): the certificate {descriptor.ca} cannot be used: {error}",
            field="whatsapp_server",
        ) from None
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust), timeout=timeout) as http:
        yield Sandbox(descriptor, http)
