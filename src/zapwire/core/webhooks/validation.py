"""Checks of what a person says about a webhook endpoint. Each raises `InvalidInput` with its field."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from zapwire.core.webhooks.renderers import RENDERERS
from zapwire.model.errors import InvalidInput
from zapwire.model.events import EventType

CONCURRENCY_MOST = 64
TIMEOUTS = (1, 60)
"""Seconds for one delivery, least and most."""
CLIENT_ERROR_ATTEMPTS = (2, 10)
_URL_LONGEST = 2048
_DESCRIPTION_LONGEST = 500
_HEADERS_MOST = 20
_HEADERS_LONGEST = 4096
"""All names and values together."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
"""RFC 9110: visible characters and spaces between them; only ASCII, as what else means depends on the receiver."""
_RESERVED = frozenset(
    {
        *("host", "connection", "keep-alive", "proxy-connection", "proxy-authorization", "te", "trailer", "upgrade"),
        *("content-length", "content-type", "content-encoding", "transfer-encoding", "accept-encoding", "expect"),
    }
)


def url(text: str) -> str:
    """An address that takes POST requests."""
    try:
        parts = urlsplit(text)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or len(text) > _URL_LONGEST or not text.isprintable() or " " in text:
        raise InvalidInput("an address that begins with http:// or https://", field="url")
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("no name and password in the address: give an Authorization header", field="url")
    return text


def host(text: str) -> str:
    """The host of an address that is good."""
    return urlsplit(text).hostname or ""


def events(patterns: Sequence[str]) -> tuple[str, ...]:
    """Types, families, `*`."""
    allowed = known_patterns()
    if not patterns or isinstance(patterns, str) or any(pattern not in allowed for pattern in patterns):
        raise InvalidInput(f"a list of some of {', '.join(sorted(allowed))}", field="events")
    return tuple(dict.fromkeys(patterns))


def known_patterns() -> set[str]:
    """All that may be subscribed to."""
    known = {kind.value for kind in EventType if kind is not EventType.WEBHOOK_TEST}
    return {"*", *known, *(kind.split(".")[0] + ".*" for kind in known)}


def bots(ids: Sequence[str] | None) -> tuple[str, ...] | None:
    """Bot ids, or None for all."""
    if ids is None:
        return None
    if not ids or isinstance(ids, str):
        raise InvalidInput("a list of bot ids, or null for all", field="bots")
    return tuple(dict.fromkeys(ids))


def description(text: str) -> str:
    """A note for people."""
    if len(text) > _DESCRIPTION_LONGEST:
        raise InvalidInput(f"longer than {_DESCRIPTION_LONGEST} characters", field="description")
    return text


def concurrency(number: int) -> int:
    """Deliveries at the same time."""
    if not 1 <= number <= CONCURRENCY_MOST:
        raise InvalidInput(f"a number from 1 to {CONCURRENCY_MOST}", field="concurrency")
    return number


def timeout(seconds: float) -> float:
    """For one delivery."""
    least, most = TIMEOUTS
    if not least <= seconds <= most:
        raise InvalidInput(f"seconds from {least} to {most}", field="timeout")
    return seconds


def client_error_attempts(number: int) -> int:
    """Attempts at an event that is answered with 4xx."""
    least, most = CLIENT_ERROR_ATTEMPTS
    if not least <= number <= most:
        raise InvalidInput(f"a number from {least} to {most}", field="client_error_attempts")
    return number


def form(name: str) -> str:
    """The format of what it gets."""
    if name not in RENDERERS:
        raise InvalidInput(f"one of {', '.join(sorted(RENDERERS))}", field="format")
    return name


def headers(fields: Mapping[str, str]) -> dict[str, str]:
    """Request headers of its own."""
    for name, value in fields.items():
        if not _TOKEN.fullmatch(name):
            raise InvalidInput(f"{name!r} is not the name of a header", field="headers")
        if name.lower() in _RESERVED or name.lower().startswith("webhook-"):
            raise InvalidInput(f"{name} is set by zapwire itself", field="headers")
        if not _VALUE.fullmatch(value):
            raise InvalidInput(f"the value of {name} has to be visible ASCII characters", field="headers")
    if len({name.lower() for name in fields}) < len(fields):
        raise InvalidInput("the same name twice", field="headers")
    if len(fields) > _HEADERS_MOST or sum(len(name) + len(value) for name, value in fields.items()) > _HEADERS_LONGEST:
        raise InvalidInput(f"at most {_HEADERS_MOST} headers and {_HEADERS_LONGEST} characters", field="headers")
    return dict(fields)
