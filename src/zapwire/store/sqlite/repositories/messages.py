"""Messages that came in. WhatsApp delivers at least once; this table makes that exactly once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.kinds import FORMER, AnyContent, UnknownContent, read_content
from zapwire.model.jid import LID_SERVER, PHONE_SERVER
from zapwire.model.messages import (
    KnownParty,
    ListedMessage,
    Message,
    MessageId,
    PagePlace,
    Party,
    StoredMessage,
    Undecryptable,
)
from zapwire.runtime.json_encoder import encode
from zapwire.store.ports import MessageRepository
from zapwire.store.sqlite.repository import Repository
from zapwire.store.sqlite.sealed_values import Row

_UNDECRYPTABLE: Final = "undecryptable"
"""`messages.type` of a message of which only its identity is known."""


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def stored_content(opened: Row, kind: str, sealed: bytes | None) -> AnyContent:
    """The content in column `content` of a row; `UnknownContent` where it does not open or says nothing known."""
    fields = opened.json("content", opened.open("content", sealed), dict)
    if fields is not None:
        with suppress(ValueError):
            return read_content(kind, fields)
        opened.spoiled("content")
    return UnknownContent()


class SqliteMessages(Repository, MessageRepository):
    """See `MessageRepository`."""

    @override
    def insert(self, bot: BotId, message: Message, chat: KnownParty, sender: KnownParty) -> bool:
        told = (message.type, encode(message.content.as_json()), message.push_name)
        on_conflict = (
            "DO UPDATE SET type = excluded.type, content = excluded.content, push_name = excluded.push_name, "
            f"timestamp = excluded.timestamp WHERE type = '{_UNDECRYPTABLE}'"  # it could not be read before
        )
        identity = (chat, sender, message.id)
        return self._insert(bot, identity, (message.from_me, message.timestamp), told, on_conflict=on_conflict)

    @override
    def insert_undecryptable(
        self, bot: BotId, message: Undecryptable, chat: KnownParty | None, sender: KnownParty | None
    ) -> bool:
        if message.id is None or chat is None or sender is None:
            return True
        told = (_UNDECRYPTABLE, "{}", message.push_name)
        identity = (chat, sender, message.id)
        return self._insert(
            bot,
            identity,
            (message.from_me, message.timestamp or timestamps.now()),
            told,
            on_conflict="DO NOTHING",
        )

    def _insert(
        self,
        bot: BotId,
        identity: tuple[KnownParty, KnownParty, MessageId],
        sent: tuple[bool, datetime],
        told: tuple[str, str, str | None],
        *,
        on_conflict: str,
    ) -> bool:
        (_, _, whatsapp_id), (kind, content, push_name), values = identity, told, self._values
        key = self._key(bot, identity)
        row = f"{bot}/{whatsapp_id}"
        done = self._sql.execute(
            "INSERT INTO messages (bot, chat, sender, whatsapp_id, from_me, timestamp, type, content, push_name, "  # noqa: S608 - constants
            f"stored_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT {on_conflict}",
            (
                *(bot, *key, whatsapp_id),
                *(sent[0], timestamps.to_ms(sent[1]), kind, values.seal("messages.content", row, content)),
                *(values.seal("messages.push_name", row, push_name), timestamps.to_ms(timestamps.now())),
            ),
        )
        return done.rowcount == 1

    @override
    def find(self, bot: BotId, chat: KnownParty, whatsapp_id: str) -> StoredMessage | None:
        chats = self._veiled(chat, "messages.chat")
        query = (
            f"SELECT sender, from_me, timestamp, type, content FROM messages WHERE bot = ? AND whatsapp_id = ? "  # noqa: S608 - marks
            f"AND chat IN ({_marks(chats)}) ORDER BY timestamp, sender LIMIT 1"
        )
        row = self._sql.execute(query, (bot, whatsapp_id, *chats)).fetchone()
        if row is None:
            return None
        veiled, from_me, moment, kind, sealed = row
        opened = self._values.row("messages", f"{bot}/{whatsapp_id}")
        sender = opened.unveil("sender", veiled)
        if sender is None:
            return None
        content = UnknownContent() if kind == _UNDECRYPTABLE else stored_content(opened, kind, sealed)
        return StoredMessage(whatsapp_id, Party(sender), bool(from_me), timestamps.from_ms(moment), content)

    @override
    def page(self, bot: BotId, chat: KnownParty | None, place: PagePlace, limit: int) -> list[ListedMessage]:
        chats: list[bytes | None] = [None] if chat is None else [*self._veiled(chat, "messages.chat")]
        moment, rows = timestamps.to_ms(place.moment), list[tuple[Any, ...]]()
        for one in chats:  # of each address by itself: over several, SQLite would look through all chats in order
            of_chat, named = ("", ()) if one is None else ("AND chat = ? ", (one,))
            rows += self._sql.execute(
                "SELECT chat, sender, whatsapp_id, from_me, timestamp, type, content, push_name FROM messages "  # noqa: S608 - constant
                f"WHERE bot = ? {of_chat}AND timestamp <= ? AND (timestamp < ? OR whatsapp_id < ?) "
                "ORDER BY timestamp DESC, whatsapp_id DESC LIMIT ?",
                (bot, *named, moment, moment, place.id, limit),
            ).fetchall()
        rows.sort(key=lambda row: (row[4], row[2]), reverse=True)
        return [self._listed(bot, row) for row in rows[:limit]]

    def _listed(self, bot: BotId, row: tuple[Any, ...]) -> ListedMessage:
        chat, sender, whatsapp_id, from_me, moment, kind, sealed, push_name = row
        opened = self._values.row("messages", f"{bot}/{whatsapp_id}")
        return ListedMessage(
            id=MessageId(whatsapp_id),
            chat=self._party(bot, opened.unveil("chat", chat)),
            sender=self._party(bot, opened.unveil("sender", sender)),
            from_me=bool(from_me),
            timestamp=timestamps.from_ms(moment),
            type=FORMER.get(kind, kind),
            content=UnknownContent() if kind == _UNDECRYPTABLE else stored_content(opened, kind, sealed),
            push_name=opened.open("push_name", push_name),
        )

    def _party(self, bot: BotId, jid: str | None) -> Party:
        """Whose address that is; an empty one where it does not open."""
        return Party("") if jid is None else self._unit.persons.complete(bot, Party(jid))

    @override
    def came_from(self, bot: BotId, chat: str) -> bool:
        if not chat.endswith((f"@{PHONE_SERVER}", f"@{LID_SERVER}")):
            return True
        chats = self._veiled(self._unit.persons.look_up(bot, Party(chat)), "messages.chat")
        query = f"SELECT 1 FROM messages WHERE bot = ? AND chat IN ({_marks(chats)}) AND NOT from_me LIMIT 1"  # noqa: S608 - marks
        return self._sql.execute(query, (bot, *chats)).fetchone() is not None

    def _key(self, bot: BotId, identity: tuple[KnownParty, KnownParty, MessageId]) -> tuple[bytes, bytes]:
        """Chat and sender under which the message is kept: as they are known now, or as they were when
        it came before.
        """
        chat, sender, whatsapp_id = identity
        chats, senders = self._veiled(chat, "messages.chat"), self._veiled(sender, "messages.sender")
        if chat.settled and sender.settled:
            return chats[0], senders[0]
        query = (
            f"SELECT chat, sender FROM messages WHERE bot = ? AND chat IN ({_marks(chats)}) "  # noqa: S608 - marks
            f"AND sender IN ({_marks(senders)}) AND whatsapp_id = ? LIMIT 1"
        )
        found: tuple[bytes, bytes] | None = self._sql.execute(query, (bot, *chats, *senders, whatsapp_id)).fetchone()
        return found or (chats[0], senders[0])

    def _veiled(self, known: KnownParty, place: str) -> list[bytes]:
        """The addresses of *known* as they are kept at *place*."""
        if place not in known.stored_as:
            known.stored_as[place] = [self._values.veil(place, one) for one in known.addresses]
        return known.stored_as[place]
