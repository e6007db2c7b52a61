"""API tokens: only their SHA-256 is kept, as they are long and random there is nothing to slow down."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from zapwire.store import times
from zapwire.store.db import Transaction


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, without its secret."""

    id: str
    name: str
    created_at: datetime
    last_used: datetime | None = None


def insert(transaction: Transaction, token: Token, digest: bytes) -> None:
    """Store a new token."""
    transaction.sql.execute(
        "INSERT INTO tokens (id, name, hash, created_at) VALUES (?, ?, ?, ?)",
        (token.id, token.name, digest, times.to_ms(token.created_at)),
    )


def all_tokens(sql: sqlite3.Connection) -> list[Token]:
    """All tokens, oldest first."""
    return [
        _token(row)
        for row in sql.execute("SELECT id, name, created_at, last_used FROM tokens ORDER BY created_at, rowid")
    ]


def by_digest(sql: sqlite3.Connection, digest: bytes) -> Token | None:
    """The token whose secret has that SHA-256."""
    row = sql.execute("SELECT id, name, created_at, last_used FROM tokens WHERE hash = ?", (digest,)).fetchone()
    return None if row is None else _token(row)


def delete(transaction: Transaction, id_or_name: str) -> bool:
    """Delete the token of that id, or those of that name; False when there is none."""
    by_id = transaction.sql.execute("DELETE FROM tokens WHERE id = ?", (id_or_name,)).rowcount
    return bool(by_id or transaction.sql.execute("DELETE FROM tokens WHERE name = ?", (id_or_name,)).rowcount)


def used(transaction: Transaction, token: str, moment: datetime) -> None:
    """Note when a token was last used."""
    transaction.sql.execute("UPDATE tokens SET last_used = ? WHERE id = ?", (times.to_ms(moment), token))


def _token(row: tuple[str, str, int, int | None]) -> Token:
    return Token(row[0], row[1], times.from_ms(row[2]), times.from_ms_or_none(row[3]))
