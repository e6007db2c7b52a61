"""A message is handed in: stored once for each Idempotency-Key, and given to its worker in the order of the commits."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from functools import partial
from typing import Any

from zapwire.core.messages import inbox
from zapwire.core.messages.queued_messages import Entry
from zapwire.core.messages.references import NotSentYet, References, with_quoted
from zapwire.core.messages.send_options import SendOptions
from zapwire.core.messages.send_worker import UNLINKED, SendWorker
from zapwire.model.bots import BotId
from zapwire.model.content.interactive import Fallback
from zapwire.model.content.kinds import MEDIA, AnyContent
from zapwire.model.errors import IdempotencyMismatch, InvalidInput, NotFound, ZapwireError
from zapwire.model.messages import (
    MessageId,
    MessageState,
    NewMessage,
    Outgoing,
    OutgoingView,
    Party,
    QueuedMessage,
)
from zapwire.store.ports import UnitOfWork, View

KEY_LONGEST = 255


def check_key(key: str | None) -> None:
    """Can it be an Idempotency-Key, if it is one? Raises `InvalidInput`."""
    if key is not None and not (0 < len(key) <= KEY_LONGEST and key.isprintable()):
        raise InvalidInput(f"1 to {KEY_LONGEST} printable characters", field="Idempotency-Key")


def digest_of(chat: str, content: AnyContent, options: SendOptions, resend_of: MessageId | None) -> bytes:
    """A digest of a request, to tell a repeat from another one."""
    # the same file given once more gets another id: its hash tells that it is the same
    fields = {name: value for name, value in content.as_json().items() if name != "media"}
    said: list[Any] = [chat, content.kind, fields]
    if options != SendOptions():
        said.append([options.notes.client_ref, options.notes.metadata, str(options.send_at), str(options.deadline)])
    if resend_of is not None:
        said.append({"resend_of": resend_of})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def insert(
    transaction: UnitOfWork,
    message: NewMessage,
    worker: SendWorker,
    entry: Entry,
    *,
    full: ZapwireError | None,
    fallback: Fallback,
) -> OutgoingView:
    """Store the message and hand it to *worker*, or find the one stored under its key. A new one raises *full*."""
    now = transaction.outbox.account(message.bot)
    if now is None:
        raise NotFound("no such bot", field="bot")
    if message.key is not None:
        known = known_under(transaction, message.bot, message.key, message.digest)
        if known is not None:
            return known
    if full is not None:
        raise full
    hold = worker.pacing.admit(transaction, Party(message.chat)) if entry.direct else None
    content = _outgoing(transaction, message, entry, fallback)
    message = replace(message, content=with_quoted(message.content, content))
    number, view = transaction.outbox.insert(
        message, MessageState.SENDING if entry.direct and hold is None else MessageState.QUEUED
    )
    if content.media is not None:  # nobody deletes it while the message may still be sent
        transaction.media.used(content.media.id, message.deadline)
    if message.account != now:
        transaction.outbox.finish(message.id, MessageState.FAILED, UNLINKED)
        return inbox.emit_status(transaction, message.bot, message.id) or view
    waiting = QueuedMessage(
        *(number, message.id, message.chat, view.to, message.deadline, message.due or message.created_at),
        account=now,
        has_file=message.content.kind in MEDIA,
        scheduled=message.due is not None,
    )
    # On the loop, in the order of the commits, and before anybody hears of it: that is the order of the chat.
    transaction.after_commit.append(partial(worker.stored, entry, waiting, content if hold is None else None))
    return view


def known_under(view: View, bot: BotId, key: str, digest: bytes) -> OutgoingView | None:
    """The message that is stored under *key*. Raises `IdempotencyMismatch` when it is another one."""
    known = view.outbox.by_key(bot, key)
    if known is None:
        return None
    if known[1] != digest:
        raise IdempotencyMismatch("this Idempotency-Key was used for another message", field="Idempotency-Key")
    return known[0]


def _outgoing(transaction: UnitOfWork, message: NewMessage, entry: Entry, fallback: Fallback) -> Outgoing:
    """The message with those that it is about. Raises what `References.outgoing` does."""
    try:
        return References(transaction, message.bot, message.chat).outgoing(message.content, fallback)
    except NotSentYet:
        if entry.direct:
            raise
        return Outgoing(message.chat, message.content)  # it waits behind that one, and is looked up again
