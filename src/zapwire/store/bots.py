"""Bots as they are kept: name, what is wanted of them, whom they are linked to. What they are doing is not stored."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from zapwire.errors import Condition
from zapwire.model import BotId, BotState, Identity, Restriction
from zapwire.proxy import Proxy
from zapwire.store import deliveries, journal, times
from zapwire.store.db import Transaction

_COLUMNS = (
    "id, unseal('bots.name', id, name), autostart, wanted, unseal('bots.phone', id, phone), lid, "
    "unseal('bots.push_name', id, push_name), "
    "halt_state, halt_reason, halt_action, halt_at, unlinking, created_at, halt_code, halt_until, "
    "restriction_kind, restriction_reason, restriction_since, restriction_until, restriction_error, "
    "unseal('bots.proxy', id, proxy)"
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
    unlinking: bool = False
    """A logout was ordered and is not done yet."""
    restriction: Restriction | None = None
    """The limit on its sending that WhatsApp told last, until it is over."""
    proxy: Proxy | None = None
    """What it connects through; None: the way that all bots take."""

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
    """Store a new bot; False when its id is taken."""
    done = transaction.sql.execute(
        "INSERT INTO bots (id, name, autostart, wanted, created_at, proxy) "
        "VALUES (?1, seal('bots.name', ?1, ?2), ?3, ?4, ?5, seal('bots.proxy', ?1, ?6)) ON CONFLICT DO NOTHING",
        (row.id, row.name, row.autostart, row.wanted, times.to_ms(row.created_at), _url(row.proxy)),
    )
    return done.rowcount == 1


def update(transaction: Transaction, row: BotRow) -> None:
    """Store all that can change of a bot."""
    halt, identity, limit = row.halt, row.identity, row.restriction
    transaction.sql.execute(
        "UPDATE bots SET name = seal('bots.name', id, ?), autostart = ?, wanted = ?, "
        "phone = seal('bots.phone', id, ?), lid = ?, push_name = seal('bots.push_name', id, ?), "
        "halt_state = ?, halt_reason = ?, halt_action = ?, halt_at = ?, halt_code = ?, halt_until = ?, "
        "restriction_kind = ?, restriction_reason = ?, restriction_since = ?, restriction_until = ?, "
        "restriction_error = ?, unlinking = ?, proxy = seal('bots.proxy', id, ?) WHERE id = ?",
        (
            *(row.name, row.autostart, row.wanted, identity.phone, identity.lid, identity.push_name),
            *((halt.state, halt.reason, halt.action, times.to_ms(halt.since)) if halt else (None,) * 4),
            *((halt.code, _ms(halt.until)) if halt else (None,) * 2),
            *((limit.kind, limit.reason, _ms(limit.since), _ms(limit.until), limit.error) if limit else (None,) * 5),
            *(row.unlinking, _url(row.proxy), row.id),
        ),
    )


def all_bots(sql: sqlite3.Connection) -> list[BotRow]:
    """All bots, oldest first."""
    rows = sql.execute(f"SELECT {_COLUMNS} FROM bots ORDER BY created_at, rowid")  # noqa: S608 - constant
    return [_row(row) for row in rows]


def exists(sql: sqlite3.Connection, bot: str) -> bool:
    """Is there a bot of that id?"""
    return sql.execute("SELECT 1 FROM bots WHERE id = ?", (bot,)).fetchone() is not None


def delete(transaction: Transaction, bot: BotId) -> None:
    """Delete a bot with its messages, its outbox and its events."""
    transaction.sql.execute("DELETE FROM bots WHERE id = ?", (bot,))
    deliveries.forget(transaction, bot)
    journal.forget(transaction, bot)


def _row(row: sqlite3.Row) -> BotRow:
    bot, name, autostart, wanted, phone, lid, push_name, state, reason, action, since, unlinking, created = row[:13]
    code, until, kind, limit, limit_since, limit_until, error, proxy = row[13:]
    return BotRow(
        id=BotId(bot),
        name=name,
        autostart=bool(autostart),
        created_at=times.from_ms(created),
        wanted=None if wanted is None else Wanted(wanted),
        identity=Identity(phone, lid, push_name),
        halt=None
        if state is None
        else Halt(BotState(state), reason, action, times.from_ms(since), code, _moment(until)),
        unlinking=bool(unlinking),
        restriction=None
        if kind is None
        else Restriction(kind, limit, times.from_ms(limit_since), _moment(limit_until), error),
        proxy=None if proxy is None else Proxy.parse(proxy),
    )


def _url(proxy: Proxy | None) -> str | None:
    return None if proxy is None else proxy.url


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else times.to_ms(moment)


def _moment(ms: int | None) -> datetime | None:
    return None if ms is None else times.from_ms(ms)
