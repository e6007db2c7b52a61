"""What the network tells about messages, stored first and told then: one transaction each, safe to repeat."""

from __future__ import annotations

from dataclasses import replace
from typing import overload

from zapwire.core import codec
from zapwire.core.merges import Merges
from zapwire.events import EventType
from zapwire.model import BotId, Message, MessageId, MessageState, OutgoingView, Party, Undecryptable
from zapwire.store import history_notices, journal, messages, outbox, persons
from zapwire.store.db import Database, Transaction
from zapwire.store.persons import Known
from zapwire.store.turns import Turn
from zapwire.transport.base import HistoryOffered, Receipt


async def received(
    database: Database, bot: BotId, message: Message, turn: Turn, merges: Merges | None = None
) -> Message | None:
    """Store a message and tell it when it is its *turn*; returns it with what is known, None when it came before."""

    def work(transaction: Transaction) -> Message | None:
        chat, sender = _learn(transaction, bot, message.chat, message.sender, merges)
        complete = replace(message, chat=chat.party, sender=sender.party)
        if not messages.insert(transaction, bot, complete, chat, sender):
            return None
        journal.append(transaction, EventType.MESSAGE_RECEIVED, bot, codec.message_json(complete))
        return complete

    return await database.write(turn.keep(work))


async def withheld(
    database: Database, bot: BotId, message: Undecryptable, turn: Turn, merges: Merges | None = None
) -> None:
    """Tell when it is its *turn* that a message cannot be told: once for each id, and not when the message itself
    was.
    """

    def work(transaction: Transaction) -> None:
        chat, sender = _learn(transaction, bot, message.chat, message.sender, merges)
        complete = replace(message, chat=chat.party if chat else None, sender=sender.party if sender else None)
        if messages.insert_undecryptable(transaction, bot, complete, chat, sender):
            journal.append(transaction, EventType.MESSAGE_UNDECRYPTABLE, bot, codec.undecryptable_json(complete))

    await database.write(turn.keep(work))


async def history(database: Database, bot: BotId, offer: HistoryOffered, turn: Turn) -> None:
    """Keep what it takes to fetch a part of the account's history; nobody is told."""

    def work(transaction: Transaction) -> None:
        history_notices.keep(transaction, bot, offer.id, offer.timestamp, offer.notice)

    await database.write(turn.keep(work))


async def receipt(database: Database, bot: BotId, told: Receipt, turn: Turn) -> None:
    """Move the messages a receipt is about forward and tell each step; older news changes nothing."""
    state = MessageState(told.kind.value)

    def work(transaction: Transaction) -> None:
        for whatsapp_id in told.whatsapp_ids:
            message = outbox.advance(transaction, bot, whatsapp_id, state)
            if message is not None:
                tell(transaction, bot, message)

    await database.write(turn.keep(work))


def tell(transaction: Transaction, bot: BotId, message: MessageId) -> OutgoingView | None:
    """Append `message.status` with an outgoing message as it is now."""
    view = outbox.get(transaction.sql, bot, message)
    if view is not None:
        journal.append(transaction, EventType.MESSAGE_STATUS, bot, codec.outgoing_json(view))
    return view


@overload
def _learn(
    transaction: Transaction, bot: BotId, chat: Party, sender: Party, merges: Merges | None
) -> tuple[Known, Known]: ...
@overload
def _learn(
    transaction: Transaction, bot: BotId, chat: Party | None, sender: Party | None, merges: Merges | None
) -> tuple[Known | None, Known | None]: ...
def _learn(
    transaction: Transaction, bot: BotId, chat: Party | None, sender: Party | None, merges: Merges | None
) -> tuple[Known | None, Known | None]:
    """Note who chat and sender are, one after the other: what the sender's addresses tell may be news of the chat."""

    def learn(party: Party | None) -> Known | None:
        known = None if party is None else persons.learn(transaction, bot, party)
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
