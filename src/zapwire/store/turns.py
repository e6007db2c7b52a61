"""Writes that are committed in the order in which they were begun, although some of them have to be tried again.

Several may be under way at once and share a commit. When the database fails for one, those behind it fail too until it
is committed: otherwise one that is tried a moment later, when there is space again, would overtake it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from zapwire.errors import StoreError
from zapwire.store.db import Transaction

T = TypeVar("T")


class Turn:
    """The place of one write behind the one *before* it; call `end` when it is committed or given up."""

    __slots__ = ("_before", "_within", "over")

    def __init__(self, before: Turn | None) -> None:
        self._before = before
        self.over = asyncio.Event()
        """It is committed or given up."""
        self._within: Transaction | None = None

    @property
    def is_next(self) -> bool:
        """Is nothing before it?"""
        return self._before is None or self._before.over.is_set()

    async def come(self) -> None:
        """Wait until nothing is before it."""
        if self._before is not None:
            await self._before.over.wait()

    def keep(self, work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
        """*work*, which raises `StoreError` when its turn has not come."""

        def in_turn(transaction: Transaction) -> T:
            before = self._before
            if before is not None and not before.is_before(transaction):
                raise StoreError("what came before it is not stored yet")
            result = work(transaction)
            self._within = transaction
            transaction.then.append(self.end)
            return result

        return in_turn

    def is_before(self, transaction: Transaction) -> bool:
        """Is this write committed, or done in this very transaction?"""
        return self.over.is_set() or self._within is transaction

    def end(self) -> None:
        """The next one may be committed."""
        self.over.set()
        self._before = self._within = None
