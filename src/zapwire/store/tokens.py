"""API tokens: only their SHA-256 is kept, as they are long and random there is nothing to slow down.

Each row carries a proof that it was made with the master key, so that whoever can only write to the file cannot make
himself a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from zapwire.store import times
from zapwire.store.transaction import Transaction
from zapwire.store.values import Connection, Values

PROOF: Final = "tokens.proof"
_COLUMNS: Final = "id, name, created_at, last_used, hash, proof"


@dataclass(frozen=True, slots=True)
class Token:
    """An API token, without its secret."""

    id: str
    name: str
    created_at: datetime
    last_used: datetime | None = None


def insert(transaction: Transaction, token: Token, digest: bytes) -> None:
    """Store a new token. Raises `StoreError` without the master key."""
    created = times.to_ms(token.created_at)
    proof = transaction.sql.values.seal(PROOF, token.id, proof_of(token.name, digest, created))
    transaction.sql.execute(
        "INSERT INTO tokens (id, name, hash, created_at, proof) VALUES (?, ?, ?, ?, ?)",
        (token.id, token.name, digest, created, proof),
    )


def all_tokens(sql: Connection) -> list[Token]:
    """All tokens, oldest first. Without the master key also those that were not made with it, which open nothing."""
    rows = sql.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, rowid").fetchall()  # noqa: S608 - constant
    return [_token(row) for row in rows if not sql.values.able or _is_ours(sql.values, row)]


def by_digest(sql: Connection, digest: bytes) -> Token | None:
    """The token whose secret has that SHA-256. A row that was not made with the master key is none; it is reported."""
    row = sql.execute(f"SELECT {_COLUMNS} FROM tokens WHERE hash = ?", (digest,)).fetchone()  # noqa: S608 - constant
    return _token(row) if row is not None and _is_ours(sql.values, row) else None


def proof_of(name: str, digest: bytes, created: int) -> str:
    """What is sealed in a token's row, and says what the row has to be; the schema writes it in the same way."""
    return f"{name}\n{digest.hex()}\n{created}"


def delete(transaction: Transaction, id_or_name: str) -> bool:
    """Delete the token of that id, or those of that name; False when there is none."""
    by_id = transaction.sql.execute("DELETE FROM tokens WHERE id = ?", (id_or_name,)).rowcount
    return bool(by_id or transaction.sql.execute("DELETE FROM tokens WHERE name = ?", (id_or_name,)).rowcount)


def used(transaction: Transaction, token: str, moment: datetime) -> None:
    """Note when a token was last used."""
    transaction.sql.execute("UPDATE tokens SET last_used = ? WHERE id = ?", (times.to_ms(moment), token))


def _is_ours(values: Values, row: Sequence[Any]) -> bool:
    ours, name, created, _, digest, proof = row
    opened = values.row("tokens", ours)
    found = opened.open("proof", proof)
    if found is not None and found != proof_of(name, digest, created):
        opened.spoiled("proof")
    return not opened.damaged


def _token(row: Sequence[Any]) -> Token:
    return Token(row[0], row[1], times.from_ms(row[2]), times.from_ms_or_none(row[3]))
