"""Outgoing messages and how far each has got.

States: queued -> sending -> sent -> delivered -> read -> played, and `failed` or `unknown` as other ends of the first
two. Only queued <-> sending goes back and forth; from `sent` on a state never goes back, whatever order receipts come.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.kinds import MEDIA
from zapwire.model.errors import InvalidInput
from zapwire.model.messages import (
    DAMAGED_ROW,
    KnownParty,
    MessageId,
    MessageState,
    NewMessage,
    Notes,
    OutgoingView,
    PagePlace,
    Party,
    QueuedMessage,
)
from zapwire.runtime.json_encoder import encode
from zapwire.store.ports import OutboxRepository
from zapwire.store.sqlite.repositories.messages import stored_content
from zapwire.store.sqlite.repository import Repository
from zapwire.store.sqlite.sealed_values import Row
from zapwire.store.sqlite.soft_delete import GONE_BOTS

_COLUMNS = (
    "id, bot, chat, type, content, state, reason, whatsapp_id, created_at, updated_at, notes, send_at, sent_at, "
    "resend_of, code, due"
)
_PROGRESS = (MessageState.SENT, MessageState.DELIVERED, MessageState.READ, MessageState.PLAYED)
_RANK = {state: rank for rank, state in enumerate((MessageState.FAILED, *_PROGRESS[1:]))}
"""Of what is known of a message before the answer to its send: that it arrived outweighs that it did not."""
_LOOKED_AT = 16
"""The newest messages to one address of a chat, of which the one that was sent last is looked for."""
_EARLY_KEPT_MS = 600_000
"""How long a receipt may wait for the message it belongs to; the answer to a send takes 75 s at the very most."""


def _before(state: MessageState) -> tuple[MessageState, ...]:
    """The states of a message that moves on to *state* when the network reports that."""
    return (MessageState.SENT,) if state is MessageState.FAILED else _PROGRESS[: _PROGRESS.index(state)]


def _notes(opened: Row, sealed: bytes | None) -> Notes:
    said = opened.json("notes", opened.open("notes", sealed), dict)
    return Notes() if said is None else Notes(said.get("client_ref"), said.get("metadata"))


class SqliteOutbox(Repository, OutboxRepository):
    """See `OutboxRepository`."""

    @override
    def account(self, bot: BotId) -> int | None:
        row = self._sql.execute("SELECT account FROM bots WHERE id = ? AND deleted_upto IS NULL", (bot,)).fetchone()
        return None if row is None else int(row[0])

    @override
    def next_account(self, bot: BotId) -> int:
        row = self._sql.execute(
            "UPDATE bots SET account = account + 1 WHERE id = ? RETURNING account", (bot,)
        ).fetchall()
        return int(row[0][0]) if row else 0

    @override
    def insert(self, message: NewMessage, state: MessageState) -> tuple[int, OutgoingView]:
        to = self._unit.persons.learn(message.bot, Party(message.chat)).party
        created, values = timestamps.to_ms(message.created_at), self._values
        cursor = self._sql.execute(
            "INSERT INTO outbox (id, bot, chat, type, content, key, digest, state, attempts, due, deadline, "
            "created_at, updated_at, account, notes, send_at, deadline_given, resend_of) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(message.id, message.bot, values.veil("outbox.chat", message.chat), message.content.kind),
                *(values.seal("outbox.content", message.id, encode(message.content.as_json())), message.key),
                *(values.seal("outbox.digest", message.id, message.digest.hex()), state),
                *(timestamps.to_ms(message.due or message.created_at), timestamps.to_ms(message.deadline)),
                *(created, created, message.account, self._sealed_notes(message)),
                None if message.due is None else timestamps.to_ms(message.due),
                message.deadline_given,
                message.resend_of,
            ),
        )
        assert cursor.lastrowid is not None  # noqa: S101 - an INSERT always has one
        moment = timestamps.from_ms(created)
        what = (message.id, message.bot, to, message.content.kind, message.content, state)
        view = OutgoingView(
            *(*what, None, None),
            created_at=moment,
            updated_at=moment,
            notes=message.notes,
            send_at=message.due,
            resend_of=message.resend_of,
        )
        return cursor.lastrowid, view

    def _sealed_notes(self, message: NewMessage) -> bytes | None:
        if message.notes.empty:
            return None
        told = {"client_ref": message.notes.client_ref, "metadata": message.notes.metadata}
        return self._values.seal("outbox.notes", message.id, encode(told))

    @override
    def by_key(self, bot: BotId, key: str) -> tuple[OutgoingView, bytes] | None:
        row = self._sql.execute("SELECT id, digest FROM outbox WHERE bot = ? AND key = ?", (bot, key)).fetchone()
        if row is None:
            return None
        view = self.get(bot, row[0])
        assert view is not None  # noqa: S101 - same connection, same snapshot
        return view, bytes.fromhex(self._values.row("outbox", row[0]).open("digest", row[1]) or "")

    @override
    def get(self, bot: str, message: str) -> OutgoingView | None:
        found = self._read(bot, message)
        return None if found is None else found[0]

    @override
    def by_whatsapp_id(self, bot: BotId, whatsapp_id: str) -> OutgoingView | None:
        query = "SELECT id FROM outbox WHERE bot = ? AND whatsapp_id = ? LIMIT 1"
        row = self._sql.execute(query, (bot, whatsapp_id)).fetchone()
        return None if row is None else self.get(bot, row[0])

    @override
    def page(self, bot: BotId, chat: KnownParty | None, place: PagePlace, limit: int) -> list[OutgoingView]:
        chats: list[bytes | None] = [None]
        if chat is not None:
            chats = [self._values.veil("outbox.chat", one) for one in chat.addresses]
        moment, rows = timestamps.to_ms(place.moment), list[tuple[int, str]]()
        for one in chats:  # see `SqliteMessages.page`
            of_chat, named = ("", ()) if one is None else ("AND chat = ? ", (one,))
            rows += self._sql.execute(
                f"SELECT created_at, id FROM outbox WHERE bot = ? {of_chat}AND created_at <= ? "  # noqa: S608 - constant
                "AND (created_at < ? OR id < ?) ORDER BY created_at DESC, id DESC LIMIT ?",
                (bot, *named, moment, moment, place.id, limit),
            ).fetchall()
        rows.sort(reverse=True)
        return [view for _, ours in rows[:limit] if (view := self.get(bot, ours)) is not None]

    @override
    def wrote_to(self, bot: BotId, chat: KnownParty) -> bool:
        chats = [self._values.veil("outbox.chat", one) for one in chat.addresses]
        query = "SELECT 1 FROM outbox WHERE bot = ? AND chat = ? AND whatsapp_id IS NOT NULL LIMIT 1"
        return any(self._sql.execute(query, (bot, one)).fetchone() is not None for one in chats)

    @override
    def is_awaited(self, bot: BotId, whatsapp_id: str) -> bool:
        known = self._sql.execute("SELECT 1 FROM outbox WHERE bot = ? AND whatsapp_id = ? LIMIT 1", (bot, whatsapp_id))
        return known.fetchone() is not None or self._is_sending(bot)

    def _is_sending(self, bot: BotId) -> bool:
        query = "SELECT 1 FROM outbox WHERE bot = ? AND state IN ('queued', 'sending') AND state = 'sending' LIMIT 1"
        return self._sql.execute(query, (bot,)).fetchone() is not None

    @override
    def last_sent(self, bot: BotId, chat: KnownParty, since: datetime) -> OutgoingView | None:
        chats = [self._values.veil("outbox.chat", one) for one in chat.addresses]
        rows = list[tuple[int, str]]()
        for one in chats:  # see `page`
            rows += self._sql.execute(
                "SELECT coalesce(sent_at, created_at) AS moment, id FROM outbox WHERE bot = ? AND chat = ? "
                "AND whatsapp_id IS NOT NULL ORDER BY created_at DESC LIMIT ?",
                (bot, one, _LOOKED_AT),
            ).fetchall()
        moment, ours = max(rows, default=(0, ""))
        return self.get(bot, ours) if ours and moment >= timestamps.to_ms(since) else None

    def _read(self, bot: str, message: str) -> tuple[OutgoingView, bool] | None:
        """The message. Also: is its row damaged?"""
        query = f"SELECT {_COLUMNS} FROM outbox WHERE id = ? AND bot = ? AND bot NOT IN {GONE_BOTS}"  # noqa: S608 - constant
        row = self._sql.execute(query, (message, bot)).fetchone()
        if row is None:
            return None
        (
            ours,
            owner,
            chat,
            kind,
            content,
            state,
            reason,
            whatsapp_id,
            created,
            updated,
            notes,
            send_at,
            sent_at,
            again,
            code,
            due,
        ) = row
        opened = self._values.row("outbox", ours)
        to = opened.unveil("chat", chat)
        view = OutgoingView(
            id=MessageId(ours),
            bot=BotId(owner),
            to=Party("") if to is None else self._unit.persons.complete(BotId(owner), Party(to)),
            type=kind,
            content=stored_content(opened, kind, content),
            state=opened.word("state", state, MessageState) or MessageState.UNKNOWN,
            reason=reason,
            whatsapp_id=whatsapp_id,
            created_at=timestamps.from_ms(created),
            updated_at=timestamps.from_ms(updated),
            notes=_notes(self._values.row("outbox", ours), notes),  # damaged, it is no reason not to send
            send_at=timestamps.from_ms_or_none(send_at) if state == MessageState.QUEUED else None,
            sent_at=timestamps.from_ms_or_none(sent_at),
            resend_of=again,
            code=code,
            retry_at=timestamps.from_ms(due) if state == MessageState.QUEUED and reason is not None else None,
        )
        return view, bool(opened.damaged)

    @override
    def waiting(self, bot: BotId) -> list[QueuedMessage]:
        return self._queued(
            bot,
            "AND state IN ('queued', 'sending') AND state = 'queued' "
            "AND account = (SELECT account FROM bots WHERE id = ?1) ORDER BY n",
        )

    def _queued(self, bot: BotId, which: str, *values: object) -> list[QueuedMessage]:
        columns = "n, id, chat, deadline, due, attempts, account, type, send_at, code"
        rows = self._sql.execute(f"SELECT {columns} FROM outbox WHERE bot = ?1 {which}", (bot, *values))  # noqa: S608 - constants
        found, parties = [], dict[str, Party]()
        for n, ours, veiled, deadline, due, attempts, number, kind, send_at, code in rows:
            chat = self._values.row("outbox", ours).unveil("chat", veiled)
            if chat is None:
                continue
            if chat not in parties:
                parties[chat] = self._unit.persons.complete(bot, Party(chat))
            moments = (timestamps.from_ms(deadline), timestamps.from_ms(due))
            found.append(
                QueuedMessage(
                    n,
                    MessageId(ours),
                    chat,
                    parties[chat],
                    *moments,
                    attempts,
                    number,
                    kind in MEDIA,
                    send_at is not None,
                    code is not None,
                )
            )
        return found

    @override
    def lost(self, bot: BotId, limit: int) -> list[MessageId]:
        rows = self._sql.execute(
            "SELECT id FROM outbox WHERE bot = ?1 AND state IN ('queued', 'sending') AND state = 'queued' "
            "AND account < (SELECT account FROM bots WHERE id = ?1) ORDER BY n LIMIT ?2",
            (bot, limit),
        )
        return [MessageId(row[0]) for row in rows]

    @override
    def take(self, bot: BotId, message: MessageId) -> OutgoingView | None:
        now = timestamps.to_ms(timestamps.now())
        done = self._sql.execute(
            "UPDATE outbox SET state = 'sending', reason = NULL, code = NULL, updated_at = ?1 WHERE id = ?2 "
            "AND state = 'queued' AND (send_at IS NULL OR send_at <= ?1)",
            (now, message),
        )
        if done.rowcount == 0:
            return None
        found = self._read(bot, message)
        if found is not None and found[1]:
            self._move(message, MessageState.FAILED, (MessageState.SENDING,), reason=DAMAGED_ROW)
            return self.get(bot, message)
        return found and found[0]

    @override
    def requeue(
        self, message: MessageId, attempts: int, due: datetime, reason: str | None, code: str | None = None
    ) -> bool:
        if not self._move(message, MessageState.QUEUED, (MessageState.QUEUED, MessageState.SENDING), reason=reason):
            return False
        self._sql.execute(
            "UPDATE outbox SET attempts = ?, due = ?, code = ? WHERE id = ?",
            (attempts, timestamps.to_ms(due), code, message),
        )
        return True

    @override
    def cancel(self, bot: BotId, message: str) -> bool:
        return self._move(
            MessageId(message), MessageState.CANCELLED, (MessageState.QUEUED,), reason="somebody took it back"
        )

    @override
    def reschedule(self, bot: BotId, message: str, due: datetime, deadline: datetime) -> QueuedMessage | None:
        moments = (timestamps.to_ms(due), timestamps.to_ms(deadline), timestamps.to_ms(timestamps.now()))
        done = self._sql.execute(
            "UPDATE outbox SET due = ?1, send_at = ?1, updated_at = ?3, "
            "deadline = CASE WHEN deadline_given THEN deadline ELSE max(deadline, ?2) END "
            "WHERE id = ?4 AND bot = ?5 AND state = 'queued' AND send_at IS NOT NULL RETURNING deadline",
            (*moments, message, bot),
        ).fetchall()
        if not done:
            return None
        if done[0][0] <= moments[0]:
            raise InvalidInput("the message's deadline is earlier", field="send_at")
        return next(iter(self._queued(bot, "AND id = ?2", message)), None)

    @override
    def expire(self, message: MessageId, reason: str) -> bool:
        done = self._sql.execute(
            "UPDATE outbox SET state = 'expired', reason = ?1, updated_at = ?2 WHERE id = ?3 AND state = 'queued' "
            "AND deadline <= ?2",
            (reason, timestamps.to_ms(timestamps.now()), message),
        )
        return done.rowcount == 1

    @override
    def hold(self, message: MessageId, reason: str) -> bool:
        done = self._sql.execute(
            "UPDATE outbox SET reason = ?1, updated_at = ?2 WHERE id = ?3 AND state = 'queued' AND reason IS NOT ?1",
            (reason, timestamps.to_ms(timestamps.now()), message),
        )
        return done.rowcount == 1

    @override
    def finish(self, message: MessageId, state: MessageState, reason: str) -> bool:
        return self._move(message, state, (MessageState.QUEUED, MessageState.SENDING), reason=reason)

    @override
    def sent(
        self, bot: BotId, message: MessageId, whatsapp_id: str, sent_at: datetime
    ) -> list[tuple[MessageState, str | None]]:
        moved = self._sql.execute(
            "UPDATE outbox SET state = 'sent', reason = NULL, code = NULL, updated_at = ?, sent_at = ?, "
            "whatsapp_id = ? WHERE id = ? AND state IN ('queued', 'sending', 'unknown')",
            (timestamps.to_ms(timestamps.now()), timestamps.to_ms(sent_at), whatsapp_id, message),
        )
        if moved.rowcount == 0:
            return []
        early = self._sql.execute(
            "DELETE FROM early_receipts WHERE bot = ? AND whatsapp_id = ? RETURNING state, reason",
            (bot, whatsapp_id),
        ).fetchall()
        return [(MessageState.SENT, None), *((MessageState(state), reason) for state, reason in early)]

    @override
    def advance(self, bot: BotId, whatsapp_id: str, state: MessageState, reason: str | None = None) -> MessageId | None:
        before = _before(state)
        marks = ", ".join("?" * len(before))
        moved = self._sql.execute(
            f"UPDATE outbox SET state = ?, reason = ?, updated_at = ? WHERE bot = ? AND whatsapp_id = ? "  # noqa: S608 - marks
            f"AND state IN ({marks}) RETURNING id",
            (state, reason, timestamps.to_ms(timestamps.now()), bot, whatsapp_id, *before),
        ).fetchall()
        if moved:
            return MessageId(moved[0][0])
        known = self._sql.execute("SELECT 1 FROM outbox WHERE bot = ? AND whatsapp_id = ?", (bot, whatsapp_id))
        if known.fetchone() is None:
            self._keep_early(bot, whatsapp_id, state, reason)
        return None

    @override
    def unreadable(self) -> list[tuple[BotId, MessageId]]:
        rows = self._sql.execute(
            "SELECT bot, id, chat FROM outbox WHERE state IN ('queued', 'sending') AND state = 'queued' "  # noqa: S608 - constant
            f"AND bot NOT IN {GONE_BOTS}"
        )
        return [
            (BotId(bot), MessageId(ours))
            for bot, ours, veiled in rows
            if self._values.row("outbox", ours).unveil("chat", veiled) is None
        ]

    @override
    def apply_step(self, message: MessageId, state: MessageState, reason: str | None = None) -> bool:
        return self._move(message, state, _before(state), reason=reason if state is MessageState.FAILED else None)

    @override
    def interrupted(self, bot: BotId, reason: str) -> list[MessageId]:
        self._sql.execute("DELETE FROM early_receipts WHERE bot = ?", (bot,))
        rows = self._sql.execute(
            "SELECT id FROM outbox WHERE bot = ? AND state IN ('queued', 'sending') AND state = 'sending' ORDER BY n",
            (bot,),
        ).fetchall()
        found = [MessageId(row[0]) for row in rows]
        for message in found:
            self._move(message, MessageState.UNKNOWN, (MessageState.SENDING,), reason=reason)
        return found

    def _keep_early(self, bot: BotId, whatsapp_id: str, state: MessageState, reason: str | None) -> None:
        sql, now = self._sql, timestamps.to_ms(timestamps.now())
        if not self._is_sending(bot):
            return  # of a message that another device of the account sent
        sql.execute("DELETE FROM early_receipts WHERE bot = ? AND at < ?", (bot, now - _EARLY_KEPT_MS))
        known = sql.execute(
            "SELECT state FROM early_receipts WHERE bot = ? AND whatsapp_id = ?", (bot, whatsapp_id)
        ).fetchone()
        if known is not None and _RANK[MessageState(known[0])] >= _RANK[state]:
            return
        sql.execute(
            "INSERT OR REPLACE INTO early_receipts (bot, whatsapp_id, state, at, reason) VALUES (?, ?, ?, ?, ?)",
            (bot, whatsapp_id, state, now, reason),
        )

    def _move(
        self,
        message: MessageId,
        state: MessageState,
        before: Iterable[MessageState],
        *,
        reason: str | None = None,
    ) -> bool:
        allowed = tuple(before)
        marks = ", ".join("?" * len(allowed))
        update = (
            f"UPDATE outbox SET state = ?, reason = ?, code = NULL, updated_at = ? WHERE id = ? AND state IN ({marks})"  # noqa: S608
        )
        done = self._sql.execute(update, (state, reason, timestamps.to_ms(timestamps.now()), message, *allowed))
        return done.rowcount == 1
