"""Messages that came in. WhatsApp delivers at least once; this table makes that exactly once."""

from __future__ import annotations

from zapwire.jid import GROUP_SERVER, PHONE_SERVER
from zapwire.json_encoder import encode
from zapwire.model import BotId, Message, Party
from zapwire.store import addresses, times
from zapwire.store.db import Transaction
from zapwire.store.values import Connection


def insert(transaction: Transaction, bot: BotId, message: Message) -> bool:
    """Store *message*; False when it is already there."""
    values, row = transaction.sql.values, f"{bot}/{message.id}"
    content = values.seal("messages.content", row, encode(message.content))
    done = transaction.sql.execute(
        "INSERT INTO messages (bot, chat, sender, whatsapp_id, from_me, timestamp, type, content, push_name, "
        "stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(bot, values.veil("messages.chat", message.chat.jid), values.veil("messages.sender", message.sender.jid)),
            *(message.id, message.from_me, times.to_ms(message.timestamp), message.type, content),
            *(values.seal("messages.push_name", row, message.push_name), times.to_ms(times.now())),
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
