"""Who may call: makes API tokens, shows each secret once, and checks what callers bring."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Collection
from datetime import timedelta

from zapwire.model import timestamps
from zapwire.model.errors import InvalidInput, NotFound, StoreError
from zapwire.model.tokens import Token
from zapwire.store.ports import Store

log = logging.getLogger(__name__)

_NAME_LONGEST = 100
_TRUSTED = 1.0
"""Seconds until a good token is looked up again, so that one revoked by another process soon stops working."""
_TRUSTED_TOKENS = 1000
_USE_NOTED = timedelta(minutes=1)
"""How exact `last_used` is: not every request is worth a write."""


class Tokens:
    """The API tokens of a database."""

    def __init__(self, database: Store) -> None:
        self._database = database
        self._good: dict[bytes, tuple[Token, float]] = {}

    async def create(self, name: str) -> tuple[Token, str]:
        """Make a token; its secret (`zw_...`) is in the answer and nowhere else. Raises `InvalidInput` (name)."""
        name = name.strip()
        if not name or len(name) > _NAME_LONGEST or not name.isprintable():
            raise InvalidInput(f"1 to {_NAME_LONGEST} printable characters", field="name")
        token, secret = Token(f"tok_{secrets.token_hex(8)}", name, timestamps.now()), f"zw_{secrets.token_urlsafe(32)}"
        await self._database.write(lambda transaction: transaction.tokens.insert(token, _digest(secret)))
        return token, secret

    async def list(self) -> list[Token]:
        """All tokens, oldest first."""
        return await self._database.read(lambda unit: unit.tokens.all_tokens())

    async def count(self) -> int:
        """How many there are; none in a new database."""
        return len(await self.list())

    async def revoke(self, id_or_name: str) -> None:
        """End the token of that id, or all of that name, at once. Raises `NotFound`."""
        if not await self._database.write(lambda transaction: transaction.tokens.delete(id_or_name)):
            raise NotFound("no such token")
        self._good.clear()

    async def check(self, secret: str) -> Token | None:
        """The token with this secret, or None. Looking up a hash leaves nothing to learn from the time it takes."""
        digest, now = _digest(secret), time.monotonic()
        known = self._good.get(digest)
        if known is not None and now - known[1] < _TRUSTED:
            return known[0]
        token = await self._database.look_up(lambda view: view.tokens.by_digest(digest))
        if token is None:
            self._good.pop(digest, None)
            return None
        if len(self._good) >= _TRUSTED_TOKENS:
            self._good.clear()
        self._good[digest] = (token, now)
        await self._note_use(token)
        return token

    async def still_good(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of these SHA-256 sums that are of tokens that were not revoked, by whatever process."""
        return await self._database.look_up(
            lambda view: {digest for digest in digests if view.tokens.by_digest(digest) is not None}
        )

    async def _note_use(self, token: Token) -> None:
        moment = timestamps.now()
        if token.last_used is None or moment - token.last_used > _USE_NOTED:
            try:
                await self._database.write(lambda transaction: transaction.tokens.used(token.id, moment))
            except StoreError as error:  # the token is good all the same, and who has it may want to look what is wrong
                log.warning("the use of a token could not be noted: %s", error)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
