"""Messages that came in. WhatsApp delivers at least once; this table makes that exactly once."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from zapwire.jid import GROUP_SERVER, PHONE_SERVER
from zapwire.json_encoder import encode
from zapwire.model import BotId, Message, MessageId, Party, Undecryptable
from zapwire.store import addresses, times
from zapwire.store.db import Transaction
from zapwire.store.values import Connection

_UNDECRYPTABLE: Final = "undecryptable"
"""`messages.type` of a message of which only its identity is known."""


def insert(transaction: Transaction, bot: BotId, message: Message) -> bool:
    """Store *message*; False when it is already there."""
    told = (message.type, encode(message.content), message.push_name)
    on_conflict = (
        "DO UPDATE SET type = excluded.type, content = excluded.content, push_name = excluded.push_name, "
        f"timestamp = excluded.timestamp WHERE type = '{_UNDECRYPTABLE}'"  # it could not be told before
    )
    identity = (message.chat, message.sender, message.id)
    return _insert(transaction, bot, identity, (message.from_me, message.timestamp), told, on_conflict=on_conflict)


def insert_undecryptable(transaction: Transaction, bot: BotId, message: Undecryptable) -> bool:
    """Note that *message* cannot be told; False when that is noted already, or the message itself is there.

    One without an id is not noted, as nobody could know it again.
    """
    if message.id is None or message.chat is None or message.sender is None:
        return True
    told = (_UNDECRYPTABLE, "{}", message.push_name)
    identity = (message.chat, message.sender, message.id)
    return _insert(
        transaction, bot, identity, (message.from_me, message.timestamp or times.now()), told, on_conflict="DO NOTHING"
    )


def _insert(
    transaction: Transaction,
    bot: BotId,
    identity: tuple[Party, Party, MessageId],
    sent: tuple[bool, datetime],
    told: tuple[str, str, str | None],
    *,
    on_conflict: str,
) -> bool:
    values, (chat, sender, whatsapp_id), (kind, content, push_name) = transaction.sql.values, identity, told
    row = f"{bot}/{whatsapp_id}"
    done = transaction.sql.execute(
        "INSERT INTO messages (bot, chat, sender, whatsapp_id, from_me, timestamp, type, content, push_name, "  # noqa: S608 - constants
        f"stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT {on_conflict}",
        (
            *(bot, values.veil("messages.chat", chat.jid), values.veil("messages.sender", sender.jid), whatsapp_id),
            *(sent[0], times.to_ms(sent[1]), kind, values.seal("messages.content", row, content)),
            *(values.seal("messages.push_name", row, push_name), times.to_ms(times.now())),
        ),
    )
    return done.rowcount == 1


def came_from(sql: Connection, bot: BotId, chat: str) -> bool:
    """Has *chat* written to the bot, as far as messages are kept? Groups always count as known."""
    if chat.endswith(f"@{GROUP_SERVER}"):
        return True
    party = addresses.complete(sql, bot, Party(chat))
    phone = party.phone and f"{party.phone.removeprefix('+')}@{PHONE_SERVER}"
    names = [name for name in (party.lid, phone) if name]
    chats = [sql.values.veil("messages.chat", name) for name in names]
    marks = ", ".join("?" * len(chats))
    query = f"SELECT 1 FROM messages WHERE bot = ? AND chat IN ({marks}) AND NOT from_me LIMIT 1"  # noqa: S608 - constant
    return sql.execute(query, (bot, *chats)).fetchone() is not None
