"""What came of one request, and what that says about the endpoint and about the event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from http import HTTPStatus

ANSWER_MOST = 4096
"""Bytes of an answer that are read and kept; of a longer one the connection is closed."""
_GATEWAY = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""What proxies answer when the receiver behind them is not there."""
_LATER = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.CONFLICT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)
"""Of 4xx: those that say nothing against the event."""


class Failure(Enum):
    """What a failed attempt says: about the endpoint, or about the event."""

    NO_CONNECTION = auto()
    """No connection could be made. That has nothing to do with the event."""
    NO_ANSWER = auto()
    """It did not answer, or a proxy before it says that it does not (502, 503, 504)."""
    CLIENT_ERROR = auto()
    """It does not want this event (4xx but for 408, 409, 425 and 429)."""
    ANSWERED = auto()
    """It answered something else than 2xx."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request; delivered when there is no error."""

    at: datetime
    duration_ms: int = 0
    error: str | None = None
    """A sentence that names neither the address nor anything of the event."""
    status: int | None = None
    retry_after: float | None = None
    """Seconds the endpoint asked for."""
    answer: bytes = b""
    """The first `ANSWER_MOST` bytes of the body."""
    cut: bool = False
    """There was more of it, or its end never came."""
    encoding: str = "identity"
    """The answer's `Content-Encoding`; nothing is unpacked."""
    connected: bool = True
    """Was there a connection?"""
    counted: bool = True
    """Does a failure use up an attempt of the event?"""

    @property
    def failure(self) -> Failure | None:
        """The kind of failure; None when it was delivered."""
        if self.error is None:
            return None
        if self.status is None:
            return Failure.NO_ANSWER if self.connected else Failure.NO_CONNECTION
        if self.status in _GATEWAY:
            return Failure.NO_ANSWER
        if HTTPStatus(400) <= self.status < HTTPStatus(500) and self.status not in _LATER:
            return Failure.CLIENT_ERROR
        return Failure.ANSWERED

    @property
    def gone(self) -> bool:
        """The endpoint wants nothing ever again."""
        return self.status == HTTPStatus.GONE

    @property
    def text(self) -> str | None:
        """The answer as it is kept and shown; None when it was empty."""
        return self.answer.decode(errors="replace") or None


def status_error(status: int) -> str | None:
    """What is wrong with an answer of this status; None when the event is delivered."""
    if HTTPStatus(200) <= status < HTTPStatus(300):
        return None
    if HTTPStatus(300) <= status < HTTPStatus(400):
        return f"it answered {status}: redirects are not followed, give the final address"
    return f"it answered {status}"


def retry_after(value: str | None, now: datetime) -> float | None:
    """`Retry-After` in seconds, given as such or as a date; None when it is not there or makes no sense."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])  # 30 years are as good as endless
    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    except (ValueError, OverflowError, TypeError, IndexError):  # what the parser raises for strange dates
        return None
