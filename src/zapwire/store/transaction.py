"""What a write function works on."""

from __future__ import annotations

from collections.abc import Callable

from zapwire.events import Event
from zapwire.store.values import Connection


class Transaction:
    """One group of writes; see `store/db.py`."""

    __slots__ = ("deleted", "sql", "then", "told")

    def __init__(self, sql: Connection) -> None:
        self.sql = sql
        self.told: list[Event] = []
        """Journal entries to publish once this is committed."""
        self.then: list[Callable[[], None]] = []
        """What to do on the event loop once this is committed and before it is published: whoever hears of an event
        and asks finds memory up to date. What one of them raises is logged, and the others are done."""
        self.deleted = False
        """Something was marked as deleted, and has to be purged."""


def beat(transaction: Transaction) -> None:
    """Write something that changes nothing: an empty transaction commits on a full disk, too."""
    transaction.sql.execute("UPDATE vault SET one = one")
