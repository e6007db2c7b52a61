"""Messages that came in. WhatsApp delivers at least once; this table makes that exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from zapwire.jid import GROUP_SERVER
from zapwire.json_encoder import encode
from zapwire.model import BotId, Message, MessageId, Party, Undecryptable
from zapwire.store import persons, times
from zapwire.store.persons import Known
from zapwire.store.transaction import Transaction
from zapwire.store.values import Connection

_UNDECRYPTABLE: Final = "undecryptable"
"""`messages.type` of a message of which only its identity is known."""


def insert(transaction: Transaction, bot: BotId, message: Message, chat: Known, sender: Known) -> bool:
    """Store *message* of *chat* by *sender*; False when it is already there, under whichever of their addresses."""
    told = (message.type, encode(message.content), message.push_name)
    on_conflict = (
        "DO UPDATE SET type = excluded.type, content = excluded.content, push_name = excluded.push_name, "
        f"timestamp = excluded.timestamp WHERE type = '{_UNDECRYPTABLE}'"  # it could not be told before
    )
    identity = (chat, sender, message.id)
    return _insert(transaction, bot, identity, (message.from_me, message.timestamp), told, on_conflict=on_conflict)


def insert_undecryptable(
    transaction: Transaction, bot: BotId, message: Undecryptable, chat: Known | None, sender: Known | None
) -> bool:
    """Note that *message* cannot be told; False when that is noted already, or the message itself is there.

    One without an id is not noted, as nobody could know it again.
    """
    if message.id is None or chat is None or sender is None:
        return True
    told = (_UNDECRYPTABLE, "{}", message.push_name)
    identity = (chat, sender, message.id)
    return _insert(
        transaction, bot, identity, (message.from_me, message.timestamp or times.now()), told, on_conflict="DO NOTHING"
    )


def _insert(
    transaction: Transaction,
    bot: BotId,
    identity: tuple[Known, Known, MessageId],
    sent: tuple[bool, datetime],
    told: tuple[str, str, str | None],
    *,
    on_conflict: str,
) -> bool:
    (_, _, whatsapp_id), (kind, content, push_name), values = identity, told, transaction.sql.values
    key = _key(transaction.sql, bot, identity)
    row = f"{bot}/{whatsapp_id}"
    done = transaction.sql.execute(
        "INSERT INTO messages (bot, chat, sender, whatsapp_id, from_me, timestamp, type, content, push_name, "  # noqa: S608 - constants
        f"stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT {on_conflict}",
        (
            *(bot, *key, whatsapp_id),
            *(sent[0], times.to_ms(sent[1]), kind, values.seal("messages.content", row, content)),
            *(values.seal("messages.push_name", row, push_name), times.to_ms(times.now())),
        ),
    )
    return done.rowcount == 1


def came_from(sql: Connection, bot: BotId, chat: str) -> bool:
    """Has *chat* written to the bot, as far as messages are kept? Groups always count as known."""
    if chat.endswith(f"@{GROUP_SERVER}"):
        return True
    chats = persons.look_up(sql, bot, Party(chat)).veiled(sql, "messages.chat")
    query = f"SELECT 1 FROM messages WHERE bot = ? AND chat IN ({_marks(chats)}) AND NOT from_me LIMIT 1"  # noqa: S608 - marks
    return sql.execute(query, (bot, *chats)).fetchone() is not None


def _key(sql: Connection, bot: BotId, identity: tuple[Known, Known, MessageId]) -> tuple[bytes, bytes]:
    """Chat and sender under which the message is kept: as they are known now, or as they were when it came before."""
    chat, sender, whatsapp_id = identity
    chats, senders = chat.veiled(sql, "messages.chat"), sender.veiled(sql, "messages.sender")
    if chat.settled and sender.settled:
        return chats[0], senders[0]
    query = (
        f"SELECT chat, sender FROM messages WHERE bot = ? AND chat IN ({_marks(chats)}) "  # noqa: S608 - marks
        f"AND sender IN ({_marks(senders)}) AND whatsapp_id = ? LIMIT 1"
    )
    found: tuple[bytes, bytes] | None = sql.execute(query, (bot, *chats, *senders, whatsapp_id)).fetchone()
    return found or (chats[0], senders[0])


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
