"""Sealed values on their way into the database and out of it: each is opened by itself, where its row is mapped.

No statement seals or opens anything: what is written is sealed before, what is read is opened after. So a value that
does not open costs its own row and no other. It is reported to `DamageLog`, from where the daemon alerts, and whoever
maps the row decides what becomes of it.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar, overload

from zapwire.model.errors import StoreError
from zapwire.runtime.json_encoder import valid_text
from zapwire.store.sqlite.row_cache import RowCache
from zapwire.vault.columns import Columns
from zapwire.vault.keys import Damaged

log = logging.getLogger(__name__)
J = TypeVar("J", dict[str, Any], list[Any])
W = TypeVar("W", bound=StrEnum)

NAMED: Final = 200
"""Damaged values that are remembered and named; of more only the number is known."""


class DamagedValue(Exception):
    """A value does not open: it was changed, swapped, or sealed with another key."""

    def __init__(self, place: str, row: str) -> None:
        super().__init__(f"{place} of row {row} does not open")
        self.place = place
        self.row = row


class DamageLog:
    """The values of one database that did not open since the daemon started. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], None] = {}
        self._untold: list[str] = []
        self._more = False

    def report(self, place: str, row: str) -> None:
        """Note that the value at *place* (`table.column`) in *row* does not open; once for each value."""
        with self._lock:
            if (place, row) in self._known or self._more:
                return
            if len(self._known) >= NAMED:
                self._more = True
                words = f"more than {NAMED} values do not open"
            else:
                self._known[(place, row)] = None
                words = f"{place} of row {row} does not open"
            self._untold.append(words)
        log.error("the database is damaged: %s; `zapwire key verify` lists all", words)

    def forget(self, table: str, row: str) -> None:
        """The row was deleted."""
        with self._lock:
            for place, other in list(self._known):
                if other == row and place.startswith(f"{table}."):
                    del self._known[(place, other)]

    def news(self) -> list[str]:
        """What was reported since this was last asked, in words."""
        with self._lock:
            news, self._untold = self._untold, []
            return news

    @property
    def words(self) -> str | None:
        """All of it in one sentence; None when everything opens."""
        with self._lock:
            if not self._known:
                return None
            (place, row), count = next(iter(self._known)), len(self._known)
            first = f"{place} of row {row}"
            if count == 1 and not self._more:
                return f"a value in the database does not open: {first}"
            return f"{'more than ' if self._more else ''}{count} values in the database do not open: {first}, ..."


class Values:
    """Seals and opens the values of one database. Without *columns* (no master key) that raises `StoreError`."""

    def __init__(self, columns: Columns | None, damages: DamageLog) -> None:
        self._columns = columns
        self.damages = damages
        self.recent: RowCache[Any] = RowCache()
        """What was opened lately, by bot."""

    @property
    def columns(self) -> Columns:
        """The key. Raises `StoreError` when there is none."""
        if self._columns is None:
            raise StoreError("sealed values cannot be used without the master key")
        return self._columns

    @property
    def able(self) -> bool:
        """Is there a key?"""
        return self._columns is not None

    @overload
    def seal(self, place: str, row: str, text: str) -> bytes: ...
    @overload
    def seal(self, place: str, row: str, text: str | None) -> bytes | None: ...
    def seal(self, place: str, row: str, text: str | None) -> bytes | None:
        """*text* as it is kept at *place* (`table.column`) in *row*; None stays None."""
        return None if text is None else self.columns.seal(place, row, valid_text(text))

    def seal_bytes(self, place: str, row: str, content: bytes) -> bytes:
        """`seal` of a text that is valid UTF-8 already."""
        return self.columns.seal_bytes(place, row, content)

    def open_bytes(self, place: str, row: str, sealed: bytes) -> bytes:
        """The reverse of `seal_bytes`. Raises `DamagedValue`, which is reported."""
        try:
            return self.columns.unseal_bytes(place, row, sealed)
        except (Damaged, TypeError):
            raise self._damaged(place, row) from None

    @overload
    def open(self, place: str, row: str, sealed: bytes) -> str: ...
    @overload
    def open(self, place: str, row: str, sealed: bytes | None) -> str | None: ...
    def open(self, place: str, row: str, sealed: bytes | None) -> str | None:
        """The reverse of `seal`. Raises `DamagedValue`, which is reported."""
        try:
            return None if sealed is None else self.columns.unseal(place, row, sealed)
        except (Damaged, TypeError, UnicodeDecodeError):
            raise self._damaged(place, row) from None

    def veil(self, place: str, text: str) -> bytes:
        """*text* as it is kept at *place*, where it has to be found again: always the same."""
        return self.columns.veil(place, valid_text(text))

    def unveil(self, place: str, row: str, veiled: bytes) -> str:
        """The reverse of `veil`; *row* is for the report. Raises `DamagedValue`, which is reported."""
        try:
            return self.columns.unveil(place, veiled)
        except (Damaged, TypeError, UnicodeDecodeError):
            raise self._damaged(place, row) from None

    def row(self, table: str, row: str) -> Row:
        """For opening the values of one row."""
        return Row(self, table, row)

    def _damaged(self, place: str, row: str) -> DamagedValue:
        self.damages.report(place, row)
        return DamagedValue(place, row)


class Row:
    """Opens the values of one row, and notes which of them do not open instead of raising."""

    __slots__ = ("_row", "_table", "_values", "damaged")

    def __init__(self, values: Values, table: str, row: str) -> None:
        self._values = values
        self._table = table
        self._row = row
        self.damaged: list[str] = []
        """Columns that do not open."""

    def open(self, column: str, sealed: bytes | None) -> str | None:
        """A sealed value; None also when it does not open."""
        try:
            return self._values.open(f"{self._table}.{column}", self._row, sealed)
        except DamagedValue:
            self.damaged.append(column)
            return None

    def open_bytes(self, column: str, sealed: bytes) -> bytes | None:
        """A sealed value as it was encoded; None when it does not open."""
        try:
            return self._values.open_bytes(f"{self._table}.{column}", self._row, sealed)
        except DamagedValue:
            self.damaged.append(column)
            return None

    def unveil(self, column: str, veiled: bytes) -> str | None:
        """A veiled value; None when it does not open."""
        try:
            return self._values.unveil(f"{self._table}.{column}", self._row, veiled)
        except DamagedValue:
            self.damaged.append(column)
            return None

    def json(self, column: str, text: str | None, kind: type[J]) -> J | None:
        """What *text* says as JSON; None also when it is no JSON of that *kind*, which is noted."""
        if text is None:
            return None
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, kind):
            return found
        self.spoiled(column)
        return None

    def word(self, column: str, text: str, words: type[W]) -> W | None:
        """The member of *words* that *text* is; None when it is none of them, which is noted."""
        try:
            return words(text)
        except ValueError:
            self.spoiled(column)
            return None

    def spoiled(self, column: str) -> None:
        """Note that what is in *column* makes no sense."""
        self._values.damages.report(f"{self._table}.{column}", self._row)
        self.damaged.append(column)


class SealedConnection(sqlite3.Connection):
    """A connection to the database, with what seals and opens its values; made by `connect`."""

    values: Values


def connect(path: Path | str, timeout: float = 5.0) -> SealedConnection:
    """Open the file at *path*; *timeout*: seconds to wait for others who write to it. `prepare` has to follow."""
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, cached_statements=256, factory=SealedConnection)
