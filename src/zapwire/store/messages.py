"""Messages that came in. WhatsApp delivers at least once; this table makes that exactly once."""

from __future__ import annotations

import json
import sqlite3

from zapwire.jid import GROUP_SERVER, PHONE_SERVER
from zapwire.model import BotId, Message, Party
from zapwire.store import addresses, times
from zapwire.store.db import Transaction


def insert(transaction: Transaction, bot: BotId, message: Message) -> bool:
    """Store *message*; False when it is already there."""
    done = transaction.sql.execute(
        "INSERT INTO messages (bot, chat, sender, whatsapp_id, from_me, timestamp, type, content, push_name, "
        "stored_at) VALUES (?1, veil('messages.chat', ?2), veil('messages.sender', ?3), ?4, ?5, ?6, ?7, "
        "seal('messages.content', ?1 || '/' || ?4, ?8), seal('messages.push_name', ?1 || '/' || ?4, ?9), ?10) "
        "ON CONFLICT DO NOTHING",
        (
            *(bot, message.chat.jid, message.sender.jid, message.id, message.from_me, times.to_ms(message.timestamp)),
            *(message.type, json.dumps(message.content, ensure_ascii=False), message.push_name),
            times.to_ms(times.now()),
        ),
    )
    return done.rowcount == 1


def came_from(sql: sqlite3.Connection, bot: BotId, chat: str) -> bool:
    """Has *chat* written to the bot, as far as messages are kept? Groups always count as known."""
    if chat.endswith(f"@{GROUP_SERVER}"):
        return True
    party = addresses.complete(sql, bot, Party(chat))
    phone = party.phone and f"{party.phone.removeprefix('+')}@{PHONE_SERVER}"
    names = [name for name in (party.lid, phone) if name]
    marks = ", ".join(["veil('messages.chat', ?)"] * len(names))
    query = f"SELECT 1 FROM messages WHERE bot = ? AND chat IN ({marks}) AND NOT from_me LIMIT 1"  # noqa: S608 - constant
    return sql.execute(query, (bot, *names)).fetchone() is not None
