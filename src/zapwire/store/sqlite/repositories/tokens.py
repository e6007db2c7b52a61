"""API tokens: only their SHA-256 is kept, as they are long and random there is nothing to slow down.

Each row carries a proof that it was made with the master key, so that whoever can only write to the file cannot make
himself a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from typing_extensions import override

from zapwire.model import timestamps
from zapwire.model.tokens import Token
from zapwire.store.ports import TokenRepository
from zapwire.store.sqlite.encryption import TOKEN_PROOF, token_proof
from zapwire.store.sqlite.repository import Repository
from zapwire.store.sqlite.sealed_values import Values

_COLUMNS: Final = "id, name, created_at, last_used, hash, proof"


def _is_ours(values: Values, row: Sequence[Any]) -> bool:
    ours, name, created, _, digest, proof = row
    opened = values.row("tokens", ours)
    found = opened.open("proof", proof)
    if found is not None and found != token_proof(name, digest, created):
        opened.spoiled("proof")
    return not opened.damaged


def _token(row: Sequence[Any]) -> Token:
    return Token(row[0], row[1], timestamps.from_ms(row[2]), timestamps.from_ms_or_none(row[3]))


class SqliteTokens(Repository, TokenRepository):
    """See `TokenRepository`."""

    @override
    def insert(self, token: Token, digest: bytes) -> None:
        created = timestamps.to_ms(token.created_at)
        proof = self._values.seal(TOKEN_PROOF, token.id, token_proof(token.name, digest, created))
        self._sql.execute(
            "INSERT INTO tokens (id, name, hash, created_at, proof) VALUES (?, ?, ?, ?, ?)",
            (token.id, token.name, digest, created, proof),
        )

    @override
    def all_tokens(self) -> list[Token]:
        rows = self._sql.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, rowid").fetchall()  # noqa: S608 - constants
        return [_token(row) for row in rows if not self._values.able or _is_ours(self._values, row)]

    @override
    def by_digest(self, digest: bytes) -> Token | None:
        row = self._sql.execute(f"SELECT {_COLUMNS} FROM tokens WHERE hash = ?", (digest,)).fetchone()  # noqa: S608 - constants
        return _token(row) if row is not None and _is_ours(self._values, row) else None

    @override
    def delete(self, id_or_name: str) -> bool:
        by_id = self._sql.execute("DELETE FROM tokens WHERE id = ?", (id_or_name,)).rowcount
        return bool(by_id or self._sql.execute("DELETE FROM tokens WHERE name = ?", (id_or_name,)).rowcount)

    @override
    def used(self, token: str, moment: datetime) -> None:
        self._sql.execute("UPDATE tokens SET last_used = ? WHERE id = ?", (timestamps.to_ms(moment), token))
