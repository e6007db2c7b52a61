"""What the network tells about messages, stored first and told then: one transaction each, safe to repeat."""

from __future__ import annotations

from dataclasses import replace

from zapwire.core import codec
from zapwire.events import EventType
from zapwire.model import BotId, Message, MessageId, MessageState, OutgoingView, Undecryptable
from zapwire.store import addresses, history_notices, journal, messages, outbox
from zapwire.store.db import Database, Transaction
from zapwire.store.turns import Turn
from zapwire.transport.base import HistoryOffered, Receipt


async def received(database: Database, bot: BotId, message: Message, turn: Turn) -> bool:
    """Store a message and tell it when it is its *turn*; False when it came before."""

    def work(transaction: Transaction) -> bool:
        complete = replace(
            message,
            chat=addresses.learn(transaction, bot, message.chat),
            sender=addresses.learn(transaction, bot, message.sender),
        )
        if not messages.insert(transaction, bot, complete):
            return False
        journal.append(transaction, EventType.MESSAGE_RECEIVED, bot, codec.message_json(complete))
        return True

    return await database.write(turn.keep(work))


async def withheld(database: Database, bot: BotId, message: Undecryptable, turn: Turn) -> None:
    """Tell when it is its *turn* that a message cannot be told: once for each id, and not when the message itself
    was.
    """

    def work(transaction: Transaction) -> None:
        chat = message.chat and addresses.learn(transaction, bot, message.chat)
        sender = message.sender and addresses.learn(transaction, bot, message.sender)
        complete = replace(message, chat=chat, sender=sender)
        if messages.insert_undecryptable(transaction, bot, complete):
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
