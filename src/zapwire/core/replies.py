"""Replies in the answer: a receiver answers `message.received` with `{"reply": {...}}`, and that is sent.

A reply is an ordinary send with an idempotency key made of the event and the endpoint, so that an event that is
delivered twice is answered once, also when the receiver's second answer is another. It is handed in before the
delivery counts as done: a crash in between repeats the delivery, and with it at most the same reply.

An answer is whatever the other side likes to send. Nothing in it makes a delivery fail or be made again: a reply that
cannot be used is an error in the delivery's record.
"""

from __future__ import annotations

import asyncio
import codecs
import json
import logging
from collections.abc import Awaitable
from typing import Any, Final, Protocol

from zapwire import json_encoder
from zapwire.core.posting import ANSWER_MOST, Outcome
from zapwire.errors import InvalidInput, StoreError, ZapwireError
from zapwire.events import Event, EventType
from zapwire.model import OutgoingView

log = logging.getLogger(__name__)

Result = dict[str, str]
"""`{"message": id}` or `{"error": sentence}`."""

_TRIES: Final = 5
"""To hand a reply in while the database fails."""
_NAME_LONGEST: Final = 40
"""Characters of a field's name that are repeated in an error."""
_OTHER_ENCODINGS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


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
    """Sends what receivers answer with; *pause* are seconds between two tries while the database fails."""

    def __init__(self, send: Send, pause: float) -> None:
        self._send = send
        self._pause = pause

    async def take(self, endpoint: str, event: Event, outcome: Outcome) -> Result | None:
        """Send the reply in the answer to *event*; None when there is none. Raises nothing."""
        if event.type is not EventType.MESSAGE_RECEIVED:
            return None
        try:
            fields = _reply(outcome)
            if fields is None:
                return None
            to, kind, content = _message(fields, event)
            sent = await self._submit(event.bot, to, kind, content, key=f"reply:{event.id}:{endpoint}")
        except ZapwireError as error:
            return {"error": _where(error.field) + error.detail}
        except Exception:  # an answer must never end a courier
            log.exception("webhook %s: the reply to %s failed in a way nobody expected", endpoint, event.id)
            return {"error": "internal error, see the log of zapwire"}
        return {"message": sent.id}

    async def _submit(self, bot: str, to: str, kind: str, content: dict[str, Any], key: str) -> OutgoingView:
        for _ in range(_TRIES - 1):
            try:
                return await self._send(bot, to, kind, content, idempotency_key=key)
            except StoreError:  # a full disk; posting the event once more would not help
                await asyncio.sleep(self._pause)
        return await self._send(bot, to, kind, content, idempotency_key=key)


def _reply(outcome: Outcome) -> dict[str, Any] | None:
    """The `reply` of the answer. Raises `InvalidInput`."""
    if outcome.encoding.strip().lower() not in {"identity", ""}:
        raise InvalidInput("the answer is compressed, although Accept-Encoding was identity")
    if outcome.answer.startswith(_OTHER_ENCODINGS):
        raise InvalidInput("the answer is not UTF-8")
    text = outcome.answer.removeprefix(codecs.BOM_UTF8).lstrip()
    if text and not text.startswith(b"{"):
        return None  # most receivers answer nothing, "ok" or a page
    if outcome.cut:
        raise InvalidInput(f"the answer is longer than {ANSWER_MOST} bytes, or not complete")
    if not text:
        return None
    answer = _parsed(text)
    reply = answer.get("reply") if isinstance(answer, dict) else None
    if reply is not None and not isinstance(reply, dict):
        raise InvalidInput("the reply is not an object")
    return reply


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text.decode())
    except UnicodeDecodeError:
        raise InvalidInput("the answer is not UTF-8") from None
    except (ValueError, RecursionError):
        raise InvalidInput("the answer is not JSON") from None


def _message(fields: dict[str, Any], event: Event) -> tuple[str, str, dict[str, Any]]:
    """Recipient, type and content; the same fields as in the body of a send. Raises `InvalidInput`."""
    known = {"to": str, "type": str, "text": str}
    for name, value in fields.items():
        if name not in known:
            raise InvalidInput("is not a field of a message", field=name)
        if not isinstance(value, known[name]):
            raise InvalidInput("has to be a text", field=name)
        if json_encoder.valid_text(value) != value:
            raise InvalidInput("holds half of a character (a surrogate without its other half)", field=name)
    to = fields.get("to") or event.data["chat"]["jid"]
    return to, fields.get("type", "text"), {"text": fields.get("text", "")}


def _where(field: str | None) -> str:
    """The beginning of a sentence about a field of the reply, whose name came from outside."""
    return f"reply.{json_encoder.valid_text(field[:_NAME_LONGEST])}: " if field else ""
