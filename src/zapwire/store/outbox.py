"""Outgoing messages and how far each has got.

States: queued -> sending -> sent -> delivered -> read -> played, and `failed` or `unknown` as other ends of the first
two. Only queued <-> sending goes back and forth; from `sent` on a state never goes back, whatever order receipts come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from zapwire.json_encoder import encode
from zapwire.model import BotId, MessageId, MessageState, OutgoingView, Party
from zapwire.store import persons, times
from zapwire.store.deleted import GONE_BOTS
from zapwire.store.transaction import Transaction
from zapwire.store.values import Connection

_COLUMNS = "id, bot, chat, type, content, state, reason, whatsapp_id, created_at, updated_at"
UNREADABLE = "its row in the database is damaged"
"""Why a message fails that cannot be read any more."""
_PROGRESS = (MessageState.SENT, MessageState.DELIVERED, MessageState.READ, MessageState.PLAYED)
_EARLY_KEPT_MS = 600_000
"""How long a receipt may wait for the message it belongs to; the answer to a send takes 75 s at the very most."""


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to store."""

    id: MessageId
    bot: BotId
    chat: str
    type: str
    content: dict[str, Any]
    digest: bytes
    """SHA-256 of the request, to tell a repetition from another message under the same key."""
    created_at: datetime
    deadline: datetime
    key: str | None = None
    account: int = 0
    """Which of the accounts that its bot had in turn it is meant for."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A message that is not sent yet."""

    n: int
    """Its number: the order in which messages were stored."""
    id: MessageId
    chat: str
    """The JID that it goes to."""
    to: Party
    """Whose that is."""
    deadline: datetime
    due: datetime
    attempts: int = 0
    account: int = 0
    """Which of the accounts that its bot had in turn it is meant for."""


def account(sql: Connection, bot: BotId) -> int | None:
    """How many accounts the bot has lost: messages are meant for the one that it had, or awaits, at that number.

    None when there is no such bot.
    """
    row = sql.execute("SELECT account FROM bots WHERE id = ? AND deleted_upto IS NULL", (bot,)).fetchone()
    return None if row is None else int(row[0])


def next_account(transaction: Transaction, bot: BotId) -> int:
    """The bot has lost its account: returns the number of the next one. What waits for the former is `lost` by that."""
    row = transaction.sql.execute(
        "UPDATE bots SET account = account + 1 WHERE id = ? RETURNING account", (bot,)
    ).fetchall()
    return int(row[0][0]) if row else 0


def insert(transaction: Transaction, message: NewMessage, state: MessageState) -> tuple[int, OutgoingView]:
    """Store a new message; returns its number, and the message as the API shows it."""
    to = persons.learn(transaction, message.bot, Party(message.chat)).party
    created, values = times.to_ms(message.created_at), transaction.sql.values
    cursor = transaction.sql.execute(
        "INSERT INTO outbox (id, bot, chat, type, content, key, digest, state, attempts, due, deadline, "
        "created_at, updated_at, account) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?)",
        (
            *(message.id, message.bot, values.veil("outbox.chat", message.chat), message.type),
            *(values.seal("outbox.content", message.id, encode(message.content)), message.key),
            *(values.seal("outbox.digest", message.id, message.digest.hex()), state, created),
            *(times.to_ms(message.deadline), created, created, message.account),
        ),
    )
    assert cursor.lastrowid is not None  # noqa: S101 - an INSERT always has one
    moment = times.from_ms(created)
    what = (message.id, message.bot, to, message.type, message.content, state)
    return cursor.lastrowid, OutgoingView(*what, None, None, created_at=moment, updated_at=moment)


def by_key(sql: Connection, bot: BotId, key: str) -> tuple[OutgoingView, bytes] | None:
    """The message submitted under an idempotency key, and the digest of its request (empty when that is damaged)."""
    row = sql.execute("SELECT id, digest FROM outbox WHERE bot = ? AND key = ?", (bot, key)).fetchone()
    if row is None:
        return None
    view = get(sql, bot, row[0])
    assert view is not None  # noqa: S101 - same connection, same snapshot
    return view, bytes.fromhex(sql.values.row("outbox", row[0]).open("digest", row[1]) or "")


def get(sql: Connection, bot: str, message: str) -> OutgoingView | None:
    """One message as the API shows it; of a damaged row without what cannot be read."""
    found = _read(sql, bot, message)
    return None if found is None else found[0]


def _read(sql: Connection, bot: str, message: str) -> tuple[OutgoingView, bool] | None:
    """The message. Also: is its row damaged?"""
    query = f"SELECT {_COLUMNS} FROM outbox WHERE id = ? AND bot = ? AND bot NOT IN {GONE_BOTS}"  # noqa: S608 - constant
    row = sql.execute(query, (message, bot)).fetchone()
    if row is None:
        return None
    ours, owner, chat, kind, content, state, reason, whatsapp_id, created, updated = row
    opened = sql.values.row("outbox", ours)
    to = opened.unveil("chat", chat)
    view = OutgoingView(
        id=MessageId(ours),
        bot=BotId(owner),
        to=Party("") if to is None else persons.complete(sql, BotId(owner), Party(to)),
        type=kind,
        content=opened.json("content", opened.open("content", content), dict) or {},
        state=opened.word("state", state, MessageState) or MessageState.UNKNOWN,
        reason=reason,
        whatsapp_id=whatsapp_id,
        created_at=times.from_ms(created),
        updated_at=times.from_ms(updated),
    )
    return view, bool(opened.damaged)


def waiting(sql: Connection, bot: BotId) -> list[Waiting]:
    """What is queued for the account that the bot has or awaits, in order; without that whose chat cannot be read."""
    rows = sql.execute(
        "SELECT n, id, chat, deadline, due, attempts, account FROM outbox WHERE bot = ?1 "
        "AND state IN ('queued', 'sending') AND state = 'queued' "
        "AND account = (SELECT account FROM bots WHERE id = ?1) ORDER BY n",
        (bot,),
    )
    found, parties = [], dict[str, Party]()
    for n, ours, veiled, deadline, due, attempts, number in rows:
        chat = sql.values.row("outbox", ours).unveil("chat", veiled)
        if chat is None:
            continue
        if chat not in parties:
            parties[chat] = persons.complete(sql, bot, Party(chat))
        moments = (times.from_ms(deadline), times.from_ms(due))
        found.append(Waiting(n, MessageId(ours), chat, parties[chat], *moments, attempts, number))
    return found


def lost(sql: Connection, bot: BotId, limit: int) -> list[MessageId]:
    """Up to *limit* messages, in order, that are queued for an account that the bot no longer has."""
    rows = sql.execute(
        "SELECT id FROM outbox WHERE bot = ?1 AND state IN ('queued', 'sending') AND state = 'queued' "
        "AND account < (SELECT account FROM bots WHERE id = ?1) ORDER BY n LIMIT ?2",
        (bot, limit),
    )
    return [MessageId(row[0]) for row in rows]


def take(transaction: Transaction, bot: BotId, message: MessageId) -> OutgoingView | None:
    """Mark a queued message as being sent; None when it is not queued (any more).

    One whose row is damaged comes back as `failed`: that is to be told, and nothing is to be sent.
    """
    if not _move(transaction, message, MessageState.SENDING, (MessageState.QUEUED,)):
        return None
    found = _read(transaction.sql, bot, message)
    if found is not None and found[1]:
        _move(transaction, message, MessageState.FAILED, (MessageState.SENDING,), reason=UNREADABLE)
        return get(transaction.sql, bot, message)
    return found and found[0]


def requeue(transaction: Transaction, message: MessageId, attempts: int, due: datetime, reason: str | None) -> bool:
    """Put a message back that was surely not sent, to be tried again from *due* on; False when it is past that."""
    if not _move(transaction, message, MessageState.QUEUED, (MessageState.SENDING,), reason=reason):
        return False
    transaction.sql.execute(
        "UPDATE outbox SET attempts = ?, due = ? WHERE id = ?", (attempts, times.to_ms(due), message)
    )
    return True


def hold(transaction: Transaction, message: MessageId, reason: str) -> bool:
    """Note why a queued message waits; False when that is noted already, or it is queued no longer."""
    done = transaction.sql.execute(
        "UPDATE outbox SET reason = ?1, updated_at = ?2 WHERE id = ?3 AND state = 'queued' AND reason IS NOT ?1",
        (reason, times.to_ms(times.now()), message),
    )
    return done.rowcount == 1


def finish(transaction: Transaction, message: MessageId, state: MessageState, reason: str) -> bool:
    """End a message that was not sent as `failed` or `unknown`; False when it is past that."""
    return _move(transaction, message, state, (MessageState.QUEUED, MessageState.SENDING), reason=reason)


def sent(transaction: Transaction, bot: BotId, message: MessageId, whatsapp_id: str) -> list[MessageState]:
    """Record WhatsApp's answer; returns the steps made, more than one when a receipt was faster than the answer."""
    before = (MessageState.QUEUED, MessageState.SENDING, MessageState.UNKNOWN)
    if not _move(transaction, message, MessageState.SENT, before):
        return []
    transaction.sql.execute("UPDATE outbox SET whatsapp_id = ? WHERE id = ?", (whatsapp_id, message))
    early = transaction.sql.execute(
        "DELETE FROM early_receipts WHERE bot = ? AND whatsapp_id = ? RETURNING state", (bot, whatsapp_id)
    ).fetchall()
    return [MessageState.SENT, *(MessageState(state) for (state,) in early)]


def advance(transaction: Transaction, bot: BotId, whatsapp_id: str, state: MessageState) -> MessageId | None:
    """Take in a receipt; returns our id when it moved a message forward.

    A receipt for a message whose sending is not recorded yet is kept for `sent`.
    """
    row = transaction.sql.execute(
        "SELECT id FROM outbox WHERE bot = ? AND whatsapp_id = ?", (bot, whatsapp_id)
    ).fetchone()
    if row is None:
        _keep_early(transaction, bot, whatsapp_id, state)
        return None
    message = MessageId(row[0])
    return message if _move(transaction, message, state, _PROGRESS[: _PROGRESS.index(state)]) else None


def unreadable(sql: Connection) -> list[tuple[BotId, MessageId]]:
    """What is queued but whose chat cannot be read, of all bots: it is never `waiting`, and has to be failed."""
    rows = sql.execute(
        "SELECT bot, id, chat FROM outbox WHERE state IN ('queued', 'sending') AND state = 'queued' "  # noqa: S608 - constant
        f"AND bot NOT IN {GONE_BOTS}"
    )
    return [
        (BotId(bot), MessageId(ours))
        for bot, ours, veiled in rows
        if sql.values.row("outbox", ours).unveil("chat", veiled) is None
    ]


def apply_step(transaction: Transaction, message: MessageId, state: MessageState) -> bool:
    """Move a sent message forward to *state*; False when it is already there or further."""
    return _move(transaction, message, state, _PROGRESS[: _PROGRESS.index(state)])


def interrupted(transaction: Transaction, bot: BotId, reason: str) -> list[MessageId]:
    """After a crash: what was being sent becomes `unknown`. Returns whom that concerns, in order."""
    transaction.sql.execute("DELETE FROM early_receipts WHERE bot = ?", (bot,))
    rows = transaction.sql.execute(
        "SELECT id FROM outbox WHERE bot = ? AND state IN ('queued', 'sending') AND state = 'sending' ORDER BY n",
        (bot,),
    ).fetchall()
    found = [MessageId(row[0]) for row in rows]
    for message in found:
        _move(transaction, message, MessageState.UNKNOWN, (MessageState.SENDING,), reason=reason)
    return found


def _keep_early(transaction: Transaction, bot: BotId, whatsapp_id: str, state: MessageState) -> None:
    sql, now = transaction.sql, times.to_ms(times.now())
    under_way = sql.execute(
        "SELECT 1 FROM outbox WHERE bot = ? AND state IN ('queued', 'sending') AND state = 'sending' LIMIT 1", (bot,)
    ).fetchone()
    if under_way is None:
        return  # of a message that another device of the account sent
    sql.execute("DELETE FROM early_receipts WHERE bot = ? AND at < ?", (bot, now - _EARLY_KEPT_MS))
    known = sql.execute(
        "SELECT state FROM early_receipts WHERE bot = ? AND whatsapp_id = ?", (bot, whatsapp_id)
    ).fetchone()
    if known is not None and _PROGRESS.index(MessageState(known[0])) >= _PROGRESS.index(state):
        return
    sql.execute("INSERT OR REPLACE INTO early_receipts VALUES (?, ?, ?, ?)", (bot, whatsapp_id, state, now))


def _move(
    transaction: Transaction,
    message: MessageId,
    state: MessageState,
    before: Iterable[MessageState],
    *,
    reason: str | None = None,
) -> bool:
    allowed = tuple(before)
    marks = ", ".join("?" * len(allowed))
    update = f"UPDATE outbox SET state = ?, reason = ?, updated_at = ? WHERE id = ? AND state IN ({marks})"  # noqa: S608
    done = transaction.sql.execute(update, (state, reason, times.to_ms(times.now()), message, *allowed))
    return done.rowcount == 1
