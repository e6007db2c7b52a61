"""What the network reports about messages: stored, then emitted, in the order in which it came; each in a unit of work
that may be repeated.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, overload

from zapwire.core.events import serializers
from zapwire.core.messages import answers
from zapwire.core.messages.references import TIMED
from zapwire.core.person_merges import PersonMerges
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.changes import DeleteContent, ReactionContent
from zapwire.model.content.interactive import PollVoteContent
from zapwire.model.content.kinds import EditContent
from zapwire.model.content.media import MediaContent
from zapwire.model.events import EventType
from zapwire.model.media import UNKNOWN_TYPE, MediaDetails, MediaFile, MediaState, new_media_id
from zapwire.model.messages import (
    KnownParty,
    Message,
    MessageId,
    MessageState,
    Origin,
    OutgoingView,
    Party,
    Undecryptable,
)
from zapwire.store.ordered_writes import OrderedWrites
from zapwire.store.ports import UnitOfWork
from zapwire.transport.protocol import HistoryOffered, Receipt, SendFailed

EVENTS: Final = {
    EditContent.kind: EventType.MESSAGE_EDITED,
    DeleteContent.kind: EventType.MESSAGE_DELETED,
    ReactionContent.kind: EventType.MESSAGE_REACTION,
    PollVoteContent.kind: EventType.POLL_VOTED,
}
"""What is emitted of a message, by its type; of all others `message.received`."""
LONGEST_TIMER: Final = 400 * 86_400
"""Seconds; WhatsApp's own longest is 90 days."""


async def received(
    writes: OrderedWrites, bot: BotId, message: Message, merges: PersonMerges | None = None
) -> Message | None:
    """Store a message and emit it; returns it with all that is known of chat and sender, None for a duplicate."""

    def work(transaction: UnitOfWork) -> Message | None:
        chat, sender = _learn(transaction, bot, message.chat, message.sender, merges)
        complete = replace(message, chat=chat.party, sender=sender.party)
        complete, file = _with_file(bot, answers.resolve(transaction, bot, complete, chat))
        if not transaction.messages.insert(bot, complete, chat, sender):
            return None
        if file is not None:
            transaction.media.insert(file)
        _note_timer(transaction, bot, complete)
        event = EVENTS.get(complete.type, EventType.MESSAGE_RECEIVED)
        if not answers.may_change(transaction, bot, complete):
            event = EventType.MESSAGE_RECEIVED
        transaction.journal.append(event, bot, serializers.message_json(complete))
        return complete

    return await writes.write(work)


def _note_timer(transaction: UnitOfWork, bot: BotId, message: Message) -> None:
    """Each message of a chat whose messages disappear says after how long."""
    if message.chat.id is not None and message.type in TIMED and message.origin in {Origin.PERSON, Origin.GROUP}:
        seconds = min(max(message.content.expires_in or 0, 0), LONGEST_TIMER)
        transaction.chat_timers.told(bot, message.chat.id, seconds, message.timestamp)


def _with_file(bot: BotId, message: Message) -> tuple[Message, MediaFile | None]:
    """*message* with an id for the file that it carries, and that file."""
    content = message.content
    if message.file is None or not isinstance(content, MediaContent):
        return message, None
    media = new_media_id()
    known: dict[str, Any] = {
        name: getattr(content, name, None) for name in ("file_name", "width", "height", "seconds", "pages")
    }
    details = MediaDetails(content.mime_type or UNKNOWN_TYPE, **known)
    file = MediaFile(media, bot, MediaState.REMOTE, message.file, details, timestamps.now())
    return replace(message, content=content.model_copy(update={"media": media})), file


async def withheld(
    writes: OrderedWrites, bot: BotId, message: Undecryptable, merges: PersonMerges | None = None
) -> None:
    """Emit that a message cannot be read: once for each id, and not when the message itself was emitted."""

    def work(transaction: UnitOfWork) -> None:
        chat, sender = _learn(transaction, bot, message.chat, message.sender, merges)
        complete = replace(message, chat=chat.party if chat else None, sender=sender.party if sender else None)
        if transaction.messages.insert_undecryptable(bot, complete, chat, sender):
            transaction.journal.append(EventType.MESSAGE_UNDECRYPTABLE, bot, serializers.undecryptable_json(complete))

    await writes.write(work)


async def history(writes: OrderedWrites, bot: BotId, offer: HistoryOffered) -> None:
    """Keep what it takes to fetch a part of the account's history; nothing is emitted."""

    def work(transaction: UnitOfWork) -> None:
        transaction.history_notices.keep(bot, offer.id, offer.timestamp, offer.notice)

    await writes.write(work)


async def receipt(writes: OrderedWrites, bot: BotId, told: Receipt, merges: PersonMerges | None = None) -> None:
    """Move the messages that a receipt is about forward and emit each step; older receipts change nothing."""
    state = MessageState(told.kind.value)

    def work(transaction: UnitOfWork) -> None:
        ids = [one for one in told.whatsapp_ids if told.recipient and transaction.outbox.is_awaited(bot, one)]
        if ids:
            _, by = _learn(transaction, bot, None, told.recipient, merges)
            for one in ids:
                if by is not None and by.party.id is not None:
                    transaction.receipts.note(bot, one, by.party.id, state, told.timestamp)
        _advance(transaction, bot, told.whatsapp_ids, state)

    await writes.write(work)


async def send_failed(writes: OrderedWrites, bot: BotId, told: SendFailed) -> None:
    """Fail messages that the network accepted and cannot deliver, and emit that; what was delivered stays so."""
    await writes.write(
        lambda transaction: _advance(transaction, bot, told.whatsapp_ids, MessageState.FAILED, told.reason)
    )


def _advance(
    transaction: UnitOfWork, bot: BotId, whatsapp_ids: tuple[str, ...], state: MessageState, reason: str | None = None
) -> None:
    for whatsapp_id in whatsapp_ids:
        message = transaction.outbox.advance(bot, whatsapp_id, state, reason)
        if message is not None:
            emit_status(transaction, bot, message)


def emit_status(transaction: UnitOfWork, bot: BotId, message: MessageId) -> OutgoingView | None:
    """Append `message.status` with an outgoing message as it is now."""
    view = transaction.outbox.get(bot, message)
    if view is not None:
        transaction.journal.append(EventType.MESSAGE_STATUS, bot, serializers.outgoing_json(view))
    return view


@overload
def _learn(
    transaction: UnitOfWork, bot: BotId, chat: Party, sender: Party, merges: PersonMerges | None
) -> tuple[KnownParty, KnownParty]: ...
@overload
def _learn(
    transaction: UnitOfWork, bot: BotId, chat: Party | None, sender: Party | None, merges: PersonMerges | None
) -> tuple[KnownParty | None, KnownParty | None]: ...
def _learn(
    transaction: UnitOfWork, bot: BotId, chat: Party | None, sender: Party | None, merges: PersonMerges | None
) -> tuple[KnownParty | None, KnownParty | None]:
    """Note who chat and sender are, one after the other: what the sender's addresses tell may be news of the chat."""

    def learn(party: Party | None) -> KnownParty | None:
        known = None if party is None else transaction.persons.learn(bot, party)
        if merges is not None:
            merges.note(transaction, bot, known)
        return known

    if chat == sender:
        return (known := learn(chat)), known
    by = learn(sender)
    known = learn(chat)
    if known is not None and by is not None and by.party.id in known.gone:
        by = known  # the same person, as it turned out
    return known, by
