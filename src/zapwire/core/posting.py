"""One delivery: the signed request, and what its answer means. The signature scheme is Standard Webhooks'."""

from __future__ import annotations

import errno
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import aiohttp
from standardwebhooks import Webhook

import zapwire
from zapwire.core import codec
from zapwire.events import Event

_ANSWER_READ = 2048
"""How much of an answer is read, so that the connection can be used again after a usual one."""
_STALE = frozenset({errno.ECONNRESET, errno.EPIPE})


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a delivery; delivered when there is no error."""

    error: str | None = None
    retry_after: float | None = None
    """Seconds the endpoint asked for."""
    gone: bool = False
    """The endpoint wants nothing ever again (410)."""


def body(event: Event) -> str:
    """The event as it is posted."""
    return json.dumps(codec.event_json(event), ensure_ascii=False, separators=(",", ":"))


async def post(session: aiohttp.ClientSession, url: str, signer: Webhook, event: Event) -> Outcome:
    """Deliver *event*; what goes wrong on the way is in the outcome.

    A kept connection that the receiver has just closed is no failure: then once more, on a new one.
    """
    try:
        try:
            return await _post(session, url, signer, event)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientOSError) and error.errno not in _STALE:
                raise
            return await _post(session, url, signer, event)
    except TimeoutError:
        return Outcome("it did not answer in time")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Outcome(f"cannot be reached: {str(error)[:200] or type(error).__name__}")


async def _post(session: aiohttp.ClientSession, url: str, signer: Webhook, event: Event) -> Outcome:
    content, now = body(event), datetime.now(UTC)
    headers = {
        "content-type": "application/json",
        "user-agent": f"zapwire/{zapwire.__version__}",
        "webhook-id": event.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer.sign(event.id, now, content),
    }
    async with session.post(url, data=content.encode(), headers=headers, allow_redirects=False) as response:
        await response.content.read(_ANSWER_READ)
        if HTTPStatus(200) <= response.status < HTTPStatus(300):
            return Outcome()
        return Outcome(
            f"it answered {response.status}",
            _retry_after(response.headers.get("Retry-After"), now),
            gone=response.status == HTTPStatus.GONE,
        )


def _retry_after(value: str | None, now: datetime) -> float | None:
    """`Retry-After` in seconds, given as such or as a date; None when it is not there or makes no sense."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
