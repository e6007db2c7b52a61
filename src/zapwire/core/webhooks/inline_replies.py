"""Replies in the answer: a receiver answers `message.received` or `poll.voted` with a `reply`, and that is sent.

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
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeAlias

from zapwire.core.webhooks.outcome import ANSWER_MOST, Outcome
from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput, StoreError, ZapwireError
from zapwire.model.events import Event, EventType
from zapwire.model.messages import OutgoingView
from zapwire.runtime.json_encoder import valid_text
from zapwire.runtime.validation_messages import checked_text

log = logging.getLogger(__name__)

Result = dict[str, str]
"""`{"message": id}` or `{"error": sentence}`."""

_TRIES: Final = 5
"""To hand a reply in while the database fails."""
_NAME_LONGEST: Final = 40
"""Characters of a field's name that are repeated in an error."""
_ANSWERABLE: Final = frozenset({EventType.MESSAGE_RECEIVED, EventType.POLL_VOTED})
_OTHER_ENCODINGS: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)


class Send(Protocol):
    """`Outbox.submit`."""

    def __call__(
        self,
        bot: str,
        to: str,
        content: AnyContent,
        *,
        idempotency_key: str | None = None,
    ) -> Awaitable[OutgoingView]:
        """Take a message for sending."""


ReadContent: TypeAlias = Callable[[str, str, Mapping[str, Any]], AnyContent]
"""`Outbox.read`."""


class InlineReplies:
    """Sends what receivers answer with; *pause* are seconds between two tries while the database fails."""

    def __init__(self, send: Send, read: ReadContent, pause: float) -> None:
        self._send = send
        self._read = read
        self._pause = pause

    async def take(self, endpoint: str, event: Event, outcome: Outcome) -> Result | None:
        """Send the reply in the answer to *event*; None when there is none. Raises nothing."""
        if event.type not in _ANSWERABLE:
            return None
        try:
            fields = _reply(outcome)
            if fields is None:
                return None
            to, content = self._message(fields, event)
            sent = await self._submit(event.bot, to, content, key=f"reply:{event.id}:{endpoint}")
        except ZapwireError as error:
            return {"error": _where(error.field) + error.detail}
        except Exception:  # an answer must never end a worker
            log.exception("webhook %s: the reply to %s failed with an unexpected error", endpoint, event.id)
            return {"error": "internal error, see the log of zapwire"}
        return {"message": sent.id}

    def _message(self, fields: dict[str, Any], event: Event) -> tuple[str, AnyContent]:
        """Recipient and content; the same fields as in the body of a send. Raises `InvalidInput`, `NotSupported`."""
        for name in ("to", "type"):
            checked_text(fields.get(name, ""), name)
        to = fields.get("to") or event.data["chat"]["jid"]
        rest = {name: value for name, value in fields.items() if name not in {"to", "type"}}
        return to, self._read(event.bot, fields.get("type", TextContent.kind), rest)

    async def _submit(self, bot: str, to: str, content: AnyContent, key: str) -> OutgoingView:
        for _ in range(_TRIES - 1):
            try:
                return await self._send(bot, to, content, idempotency_key=key)
            except StoreError:  # a full disk; posting the event once more would not help
                await asyncio.sleep(self._pause)
        return await self._send(bot, to, content, idempotency_key=key)


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


def _where(field: str | None) -> str:
    """The beginning of a sentence about a field of the reply, whose name came from outside."""
    return f"reply.{valid_text(field[:_NAME_LONGEST])}: " if field else ""
