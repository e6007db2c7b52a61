"""A few values that were read lately, so that what comes again and again need not be read each time.

They are of the database as it is committed: what is read in a transaction is kept once that is over, and only if
nothing of the same group was changed since it was read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

V = TypeVar("V")

KEPT: Final = 4096
"""Values, some 600 bytes each; and groups whose changes are counted."""


class RowCache(Generic[V]):
    """Values by group and key. Thread-safe."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._values: OrderedDict[tuple[str, Hashable], tuple[int, V]] = OrderedDict()
        self._changes: dict[str, int] = {}
        self._forgotten = 0

    def get(self, group: str, key: Hashable) -> V | None:
        """The value, if it is known and still true."""
        with self._lock:
            found = self._values.get((group, key))
            if found is None or found[0] != self._version(group):
                return None
            self._values.move_to_end((group, key))
            return found[1]

    def version(self, group: str) -> int:
        """What `put` has to be given for a value that is read from now on."""
        with self._lock:
            return self._version(group)

    def put(self, group: str, key: Hashable, value: V, version: int) -> None:
        """Keep a value that was read, unless something of the group has been changed since."""
        with self._lock:
            if version == self._version(group):
                self._values[(group, key)] = (version, value)
                while len(self._values) > self._kept:
                    self._values.popitem(last=False)

    def change(self, group: str) -> None:
        """Something of the group is being changed: what is known of it counts no more."""
        with self._lock:
            if len(self._changes) >= self._kept:
                self._forgotten += sum(self._changes.values()) + 1  # greater than any version there was
                self._changes.clear()
            self._changes[group] = self._changes.get(group, 0) + 1

    def _version(self, group: str) -> int:
        return self._forgotten + self._changes.get(group, 0)
