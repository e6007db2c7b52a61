"""Writes that are committed in the order in which they were begun, and retried until they are.

Several may be under way at once and share a commit. When the store fails for one, those behind it fail too until it is
committed: otherwise one that is retried a moment later, when there is space again, would overtake it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeVar

from zapwire.model.errors import StoreError, Unstorable
from zapwire.store.ports import Transactions, UnitOfWork

log = logging.getLogger(__name__)
T = TypeVar("T")


class OrderedWrites:
    """The writes of one subject, *name* in the log; *pause* seconds between two retries."""

    def __init__(self, store: Transactions, name: str, pause: float) -> None:
        self._store = store
        self._name: Final = name
        self._pause: Final = pause
        self._last: _Place | None = None

    async def write(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run *work* after all that were begun before it; returns once it is committed, however long the store fails.

        Raises `Unstorable` at once: no retry helps, and those behind it must not wait; and what *work* raises.
        """
        place = self._last = _Place(self._last)
        try:
            while True:
                try:
                    return await self._store.write(place.keep(work))
                except Unstorable:
                    raise
                except StoreError as error:
                    await self._wait(place, error)
        finally:
            place.end()

    async def _wait(self, place: _Place, error: StoreError) -> None:
        """Until the next try: the first in the row after a pause, the others after the one before them."""
        if not place.is_next:
            await place.come()
            return
        log.error("%s: incoming messages cannot be stored yet, retrying: %s", self._name, error)
        await asyncio.sleep(self._pause)


class _Place:
    """The place of one write behind the one *before* it."""

    __slots__ = ("_before", "over", "within")

    def __init__(self, before: _Place | None) -> None:
        self._before = before
        self.over = asyncio.Event()
        self.within: UnitOfWork | None = None

    @property
    def is_next(self) -> bool:
        """Is nothing before it?"""
        return self._before is None or self._before.over.is_set()

    async def come(self) -> None:
        """Wait until nothing is before it."""
        if self._before is not None:
            await self._before.over.wait()

    def keep(self, work: Callable[[UnitOfWork], T]) -> Callable[[UnitOfWork], T]:
        """*work*, which raises `StoreError` when what is before it is not committed yet, nor in the same commit."""

        def in_order(transaction: UnitOfWork) -> T:
            before = self._before
            if before is not None and not (before.over.is_set() or before.within is transaction):
                raise StoreError("what came before it is not stored yet")
            result = work(transaction)
            self.within = transaction
            transaction.after_commit.append(self.end)
            return result

        return in_order

    def end(self) -> None:
        """It is committed or given up: the next one may be committed."""
        self.over.set()
        self._before = self.within = None
