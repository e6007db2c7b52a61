"""Bots as they are kept: name, what is wanted of them, whom they are linked to. What they are doing is not stored."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from zapwire.errors import Condition, Conflict, InvalidInput
from zapwire.model import BotId, BotState, Identity, Restriction
from zapwire.proxy import Proxy
from zapwire.store import journal, purging, times
from zapwire.store.db import Transaction
from zapwire.store.values import Connection, Row, Values

_COLUMNS = (
    "id, name, autostart, wanted, phone, lid, push_name, "
    "halt_state, halt_reason, halt_action, halt_at, unlinking, created_at, halt_code, halt_until, "
    "restriction_kind, restriction_reason, restriction_since, restriction_until, restriction_error, proxy, "
    "default_country"
)


class Wanted(StrEnum):
    """What a person last asked for."""

    CONNECTED = "connected"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Halt:
    """A state that outlives the daemon, because only a person can end it, or time."""

    state: BotState
    reason: str
    action: str
    since: datetime
    code: str | None = None
    until: datetime | None = None
    """From then on the bot tries again by itself; None: only a person ends it."""


@dataclass(frozen=True, slots=True)
class BotRow:
    """One bot."""

    id: BotId
    name: str
    autostart: bool
    created_at: datetime
    wanted: Wanted | None = None
    """None: nobody said; `autostart` decides."""
    identity: Identity = field(default_factory=Identity)
    halt: Halt | None = None
    unlinking: datetime | None = None
    """Since when a logout is wanted that is not done yet."""
    restriction: Restriction | None = None
    """The limit on its sending that WhatsApp told last, until it is over."""
    proxy: Proxy | None = None
    """What it connects through; None: the way that all bots take."""
    default_country: str | None = None
    """ISO 3166, in which numbers without a country code are dialled; None: that of the daemon, if it has one."""
    damaged: tuple[str, ...] = ()
    """Columns of its row that do not open. Such a bot is halted: without its proxy, say, it must not connect."""

    @property
    def linked(self) -> bool:
        """Is it a device of an account?"""
        return self.identity.phone is not None or self.identity.lid is not None

    @property
    def moved(self) -> bool:
        """Did it leave for another installation?"""
        return self.halt is not None and self.halt.code == Condition.MOVED

    @property
    def starts(self) -> bool:
        """Is it to be connected when the daemon starts, or once its halt is over?"""
        if self.halt is not None and self.halt.until is None:
            return False
        return self.autostart if self.wanted is None else self.wanted is Wanted.CONNECTED


def insert(transaction: Transaction, row: BotRow) -> bool:
    """Store a new bot; False when its id is taken. Raises `Conflict` while a deleted one of that id is purged."""
    values = transaction.sql.values
    values.recent.change(row.id)  # of one that was called so before
    done = transaction.sql.execute(
        "INSERT INTO bots (id, name, autostart, wanted, created_at, proxy, default_country) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            *(row.id, values.seal("bots.name", row.id, row.name), row.autostart, row.wanted),
            *(times.to_ms(row.created_at), values.seal("bots.proxy", row.id, _url(row.proxy))),
            row.default_country,
        ),
    )
    if done.rowcount == 0 and purging.is_doomed(transaction.sql, row.id):
        raise Conflict(
            "a bot of this id was deleted, and what it left is still being removed: try again in some seconds, or take "
            "another id",
            field="id",
        )
    return done.rowcount == 1


def update(transaction: Transaction, row: BotRow) -> None:
    """Store all that can change of a bot; of a damaged row only what is wanted of it: the rest may be mended."""
    if row.damaged:
        transaction.sql.execute(
            "UPDATE bots SET autostart = ?, wanted = ?, unlinking = ? WHERE id = ?",
            (row.autostart, row.wanted, _ms(row.unlinking) or 0, row.id),
        )
        return
    halt, identity, limit, values = row.halt, row.identity, row.restriction, transaction.sql.values
    transaction.sql.execute(
        "UPDATE bots SET name = ?, autostart = ?, wanted = ?, phone = ?, lid = ?, push_name = ?, "
        "halt_state = ?, halt_reason = ?, halt_action = ?, halt_at = ?, halt_code = ?, halt_until = ?, "
        "restriction_kind = ?, restriction_reason = ?, restriction_since = ?, restriction_until = ?, "
        "restriction_error = ?, unlinking = ?, proxy = ?, default_country = ? WHERE id = ?",
        (
            *(values.seal("bots.name", row.id, row.name), row.autostart, row.wanted),
            *(values.seal("bots.phone", row.id, identity.phone), identity.lid),
            values.seal("bots.push_name", row.id, identity.push_name),
            *((halt.state, halt.reason, halt.action, times.to_ms(halt.since)) if halt else (None,) * 4),
            *((halt.code, _ms(halt.until)) if halt else (None,) * 2),
            *((limit.kind, limit.reason, _ms(limit.since), _ms(limit.until), limit.error) if limit else (None,) * 5),
            *(_ms(row.unlinking) or 0, values.seal("bots.proxy", row.id, _url(row.proxy))),
            *(row.default_country, row.id),
        ),
    )


def all_bots(sql: Connection) -> list[BotRow]:
    """All bots, oldest first."""
    rows = sql.execute(f"SELECT {_COLUMNS} FROM bots WHERE deleted_upto IS NULL ORDER BY created_at, rowid")  # noqa: S608
    return [_row(sql.values, row) for row in rows]


def exists(sql: sqlite3.Connection, bot: str) -> bool:
    """Is there a bot of that id?"""
    return sql.execute("SELECT 1 FROM bots WHERE id = ? AND deleted_upto IS NULL", (bot,)).fetchone() is not None


def delete(transaction: Transaction, bot: BotId) -> None:
    """Delete a bot with its messages, its outbox and its events up to now: hidden at once, then purged bit by bit."""
    query = "UPDATE bots SET deleted_upto = ? WHERE id = ? AND deleted_upto IS NULL"
    if transaction.sql.execute(query, (journal.last_seq(transaction.sql), bot)).rowcount:
        transaction.deleted = True
        transaction.sql.values.damages.forget("bots", bot)


def _row(values: Values, row: Sequence[Any]) -> BotRow:
    bot, name, autostart, wanted, phone, lid, push_name, state, reason, action, since, unlinking, created = row[:13]
    code, until, kind, limit, limit_since, limit_until, error, proxy, country = row[13:]
    opened = values.row("bots", bot)
    found = BotRow(
        id=BotId(bot),
        name=opened.open("name", name) or bot,
        autostart=bool(autostart),
        created_at=times.from_ms(created),
        wanted=None if wanted is None else opened.word("wanted", wanted, Wanted),
        identity=Identity(opened.open("phone", phone), lid, opened.open("push_name", push_name)),
        halt=None
        if state is None
        else Halt(
            opened.word("halt_state", state, BotState) or BotState.BLOCKED,
            *(reason or "", action or "", times.from_ms(since or 0), code, _moment(until)),
        ),
        unlinking=_moment(unlinking or None),
        restriction=None
        if kind is None
        else Restriction(kind, limit or "", times.from_ms(limit_since or 0), _moment(limit_until), error),
        proxy=_proxy(opened, proxy),
        default_country=country,
    )
    return _damaged(found, tuple(opened.damaged)) if opened.damaged else found


def _damaged(row: BotRow, columns: tuple[str, ...]) -> BotRow:
    """*row* as that of a bot that does nothing until a person has mended it."""
    halt = Halt(
        BotState.BLOCKED,
        f"its row in the database is damaged: {', '.join(columns)} cannot be read",
        "restore the database from a backup, or delete the bot and link it again",
        times.now(),
        Condition.ROW_DAMAGED,
    )
    return replace(row, identity=Identity(), unlinking=None, halt=halt, damaged=columns)


def _proxy(opened: Row, sealed: bytes | None) -> Proxy | None:
    url = opened.open("proxy", sealed)
    try:
        return None if url is None else Proxy.parse(url)
    except InvalidInput:
        opened.spoiled("proxy")
        return None


def _url(proxy: Proxy | None) -> str | None:
    return None if proxy is None else proxy.url


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else times.to_ms(moment)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else times.from_ms(ms)
