"""What is kept of tokens, as the core sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from zapwire.model.tokens import Token


class TokenRepository(Protocol):
    """API tokens: only their SHA-256 is kept, as they are long and random there is nothing to slow down."""

    def insert(self, token: Token, digest: bytes) -> None:
        """Store a new token. Raises `StoreError` without the master key."""

    def all_tokens(self) -> list[Token]:
        """All tokens, oldest first. Without the master key also those that were not made with it, which
        open nothing.
        """

    def by_digest(self, digest: bytes) -> Token | None:
        """The token whose secret has that SHA-256. A row that was not made with the master key is none;
        it is reported.
        """

    def delete(self, id_or_name: str) -> bool:
        """Delete the token of that id, or those of that name; False when there is none."""

    def used(self, token: str, moment: datetime) -> None:
        """Note when a token was last used."""
