"""The proxy of a bot: `socks5://user:password@host:port` or `http://...` (CONNECT). Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from zapwire.model.errors import InvalidInput

SCHEMES: Final = ("http", "socks5")
LONGEST: Final = 512
_HIDDEN: Final = "***"
"""Stands for a password where a proxy is shown."""


@dataclass(frozen=True, slots=True, repr=False)
class Proxy:
    """An address with what it takes to be let in; its `str` and `repr` hide the password."""

    scheme: str
    host: str
    """A name or an IP address, an IPv6 one without brackets."""
    port: int
    user: str | None = None
    password: str | None = None

    @classmethod
    def parse(cls, text: str) -> Proxy:
        """Read a URL; raises `InvalidInput` (proxy), whose detail never repeats it, as it may hold a password."""
        text = text.strip()
        if len(text) > LONGEST:
            raise _bad(f"longer than {LONGEST} characters")
        try:
            parts = urlsplit(text)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _bad("must be a URL like socks5://user:password@host:1080") from None
        scheme = "socks5" if parts.scheme == "socks5h" else parts.scheme
        if scheme not in SCHEMES:
            raise _bad("must begin with http:// (a proxy that knows CONNECT) or socks5://")
        if not host or not port:
            raise _bad("must name a host and a port, like socks5://host:1080")
        if parts.path not in {"", "/"} or parts.query or parts.fragment:
            raise _bad("must end after the port")
        user, password = _text(parts.username), _text(parts.password)
        if password == _HIDDEN:
            raise _bad("holds *** in place of its password, as proxies are shown: give the password again")
        if bool(user) is not bool(password):
            raise _bad("must have both a user name and a password, or neither")
        if any(len(part.encode()) > 255 for part in (user or "", password or "", host)):
            raise _bad("has a part of more than 255 bytes")
        return cls(scheme, host, port, user or None, password or None)

    @property
    def url(self) -> str:
        """The whole address, password included: for the engine and for the store, nobody else."""
        return self._url(None if self.password is None else quote(self.password, safe=""))

    @property
    def shown(self) -> str:
        """The address without its password."""
        return self._url(None if self.password is None else _HIDDEN)

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"Proxy({self.shown})"

    def _url(self, password: str | None) -> str:
        login = "" if self.user is None else quote(self.user, safe="")
        if password is not None:
            login += ":" + password
        host = f"[{self.host}]" if _is_ipv6(self.host) else self.host
        return f"{self.scheme}://{login + '@' if login else ''}{host}:{self.port}"


def _text(part: str | None) -> str | None:
    try:
        found = None if part is None else unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise _bad("has a user name or password that is not UTF-8") from None
    if found is not None and not (found.isascii() and found.isprintable()):
        raise _bad("has a user name or password with something else than printable ASCII")
    return found


def _is_ipv6(host: str) -> bool:
    try:
        IPv6Address(host)
    except ValueError:
        return False
    return True


def _bad(detail: str) -> InvalidInput:
    return InvalidInput(detail, field="proxy")
