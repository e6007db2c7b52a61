"""Replies in the answer: a receiver answers `message.received` with `{"reply": {...}}`, and that is sent.

A reply is an ordinary send with an idempotency key made of the event and the endpoint, so that an event that is
delivered twice is answered once, also when the receiver's second answer is another. It is handed in before the
delivery counts as done: a crash in between repeats the delivery, and with it at most the same reply.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any, Protocol

from zapwire.core.posting import ANSWER_MOST, Outcome
from zapwire.errors import InvalidInput, StoreError, ZapwireError
from zapwire.events import Event, EventType
from zapwire.model import OutgoingView

Result = dict[str, str]
"""`{"message": id}` or `{"error": sentence}`."""


class Send(Protocol):
    """`Sender.submit`."""

    def __call__(
        self,
        bot: str,
        to: str,
        type: str,  # noqa: A002 - the field's name everywhere
        content: dict[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> Awaitable[OutgoingView]:
        """Take a message for sending."""


class Replies:
    """Sends what receivers answer with."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def take(self, endpoint: str, event: Event, outcome: Outcome) -> Result | None:
        """Send the reply in the answer to *event*; None when there is none. Raises `StoreError`: then repeat."""
        if event.type is not EventType.MESSAGE_RECEIVED:
            return None
        try:
            fields = _reply(outcome)
            if fields is None:
                return None
            to, kind, content = _message(fields, event)
            key = f"reply:{event.id}:{endpoint}"
            sent = await self._send(event.bot, to, kind, content, idempotency_key=key)
        except StoreError:
            raise
        except ZapwireError as error:
            where = f"reply.{error.field}: " if error.field else ""
            return {"error": where + error.detail}
        return {"message": sent.id}


def _reply(outcome: Outcome) -> dict[str, Any] | None:
    """The `reply` of the answer. Raises `InvalidInput`."""
    if not outcome.answer.lstrip().startswith(b"{"):
        return None  # most receivers answer nothing, "ok" or a page
    if outcome.cut:
        raise InvalidInput(f"the answer is longer than {ANSWER_MOST} bytes, or not complete")
    try:
        answer = json.loads(outcome.answer)
    except ValueError:
        raise InvalidInput("the answer is not JSON") from None
    if not isinstance(answer, dict) or answer.get("reply") is None:
        return None
    if not isinstance(answer["reply"], dict):
        raise InvalidInput("the reply is not an object")
    return answer["reply"]


def _message(fields: dict[str, Any], event: Event) -> tuple[str, str, dict[str, Any]]:
    """Recipient, type and content; the same fields as in the body of a send. Raises `InvalidInput`."""
    known = {"to": str, "type": str, "text": str}
    for name, value in fields.items():
        if name not in known:
            raise InvalidInput("is not a field of a message", field=name)
        if not isinstance(value, known[name]):
            raise InvalidInput("has to be a text", field=name)
    to = fields.get("to") or event.data["chat"]["jid"]
    return to, fields.get("type", "text"), {"text": fields.get("text", "")}
