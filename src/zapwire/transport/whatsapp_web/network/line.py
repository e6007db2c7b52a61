"""The line to WhatsApp, direct or through a proxy, with TLS, as the engine dials it."""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.request import getproxies, proxy_bypass

from python_socks import ProxyError, ProxyType
from python_socks.async_.asyncio import Proxy as Dialler

from zapwire.model.errors import InvalidInput
from zapwire.model.proxy import Proxy
from zapwire.transport.whatsapp_web.engine.dial_errors import Unreachable, unreachable
from zapwire.transport.whatsapp_web.network.preflight import HOST, PORT

DIAL_DEADLINE: Final = 20.0
CLOSE_DEADLINE: Final = 1.0
LONGEST_HEAD: Final = 16 * 1024
"""Bytes of the head of an HTTP answer."""


@dataclass(frozen=True, slots=True)
class Line:
    """A connection with TLS."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def close(self) -> None:
        """Close it, without waiting long for the other side."""
        self.writer.close()
        try:
            async with asyncio.timeout(CLOSE_DEADLINE):
                await self.writer.wait_closed()
        except (OSError, TimeoutError):
            self.writer.transport.abort()
        except asyncio.CancelledError:
            self.writer.transport.abort()
            raise


_FAILURES: Final = (TimeoutError, OSError, ProxyError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
"""Of a dial; ssl.SSLError is an OSError."""


class UnusableProxy(Exception):
    """The proxy for all bots is of a kind that only the engine can use."""


def proxy_for_all(given: str | None) -> Proxy | None:
    """That of the environment, or *given* in its place. Raises `UnusableProxy`."""
    if given is None and not proxy_bypass(HOST):
        given = getproxies().get("https")
    if not given:
        return None
    try:
        return Proxy.parse(given if "//" in given else "//" + given)
    except InvalidInput as error:
        raise UnusableProxy from error


class LineMaker:
    """Dials WhatsApp, or what stands in its place."""

    def __init__(self, ca: Path | None, for_all: Proxy | None) -> None:
        """*ca* signs another server in WhatsApp's place; *for_all* is the proxy of bots without one of their own."""
        self._ca = ca
        self._for_all = for_all
        self._trust: ssl.SSLContext | None = None

    async def dial(self, own: Proxy | None, host: str = HOST) -> Line:
        """A new line to *host*, one of WhatsApp's, through the bot's *own* proxy if it has one.

        Raises `Unreachable` in plain words.
        """
        proxy = own or self._for_all
        what = "WhatsApp" if proxy is None else "the proxy"
        try:
            async with asyncio.timeout(DIAL_DEADLINE):
                return await self._dial(proxy, host)
        except _FAILURES as error:
            raise _in_words(error, what) from error

    async def _dial(self, proxy: Proxy | None, host: str) -> Line:
        if self._trust is None:
            self._trust = ssl.create_default_context(cafile=None if self._ca is None else str(self._ca))
        if proxy is None:
            return Line(*await asyncio.open_connection(host, PORT, ssl=self._trust, limit=LONGEST_HEAD))
        if proxy.scheme == "http":
            return await self._connect(proxy, self._trust, host)
        dialler = Dialler(ProxyType.SOCKS5, proxy.host, proxy.port, proxy.user, proxy.password, rdns=True)
        socket = await dialler.connect(host, PORT)
        reader, writer = await asyncio.open_connection(
            sock=socket, ssl=self._trust, server_hostname=host, limit=LONGEST_HEAD
        )
        return Line(reader, writer)

    async def _connect(self, proxy: Proxy, trust: ssl.SSLContext, host: str) -> Line:
        """Through an HTTP proxy, asked as Go's net/http asks."""
        loop = asyncio.get_running_loop()
        answers = asyncio.StreamReader(limit=LONGEST_HEAD)
        transport, _ = await loop.create_connection(
            lambda: asyncio.StreamReaderProtocol(answers), proxy.host, proxy.port
        )
        try:
            transport.write(_connect_request(proxy, host).encode())
            status = _status(await answers.readuntil(b"\r\n\r\n"))
            if status != "200":
                raise _refused(status)
            return await _with_tls(transport, trust, host)
        except BaseException:
            transport.abort()
            raise


async def _with_tls(transport: asyncio.WriteTransport, trust: ssl.SSLContext, host: str) -> Line:
    """TLS over what the proxy opened, with a reader of its own: what the proxy wrote before is in no way WhatsApp's."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_HEAD)
    protocol = asyncio.StreamReaderProtocol(reader)
    secure = await loop.start_tls(transport, protocol, trust, server_hostname=host)
    if secure is None:
        raise ConnectionResetError
    protocol.connection_made(secure)
    return Line(reader, asyncio.StreamWriter(secure, protocol, reader, loop))


def _connect_request(proxy: Proxy, host: str) -> str:
    target = f"{host}:{PORT}"
    login = ""
    if proxy.user is not None:
        token = base64.b64encode(f"{proxy.user}:{proxy.password or ''}".encode()).decode()
        login = f"Proxy-Authorization: Basic {token}\r\n"
    return f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nUser-Agent: Go-http-client/1.1\r\n{login}\r\n"


def _status(head: bytes) -> str:
    version, _, rest = head.decode("latin-1").partition(" ")
    return rest[:3] if version.startswith("HTTP/") else ""


def _refused(status: str) -> Unreachable:
    if status == "407":
        return Unreachable("WhatsApp cannot be reached: the proxy wants a user name and a password")
    return Unreachable("WhatsApp cannot be reached: the proxy does not let it through")


def _in_words(error: Exception, what: str) -> Unreachable:
    if isinstance(error, ssl.SSLCertVerificationError):
        return unreachable("certificate")
    if isinstance(error, ssl.SSLError):
        return unreachable("not look like a tls handshake")
    if isinstance(error, ProxyError):
        words = "username/password authentication failed" if "auth" in str(error).lower() else "socks connect"
        return unreachable(words)
    if isinstance(error, TimeoutError):
        return unreachable("timeout", what)
    if isinstance(error, ConnectionRefusedError):
        return unreachable("connection refused", what)
    return unreachable("eof", what)
