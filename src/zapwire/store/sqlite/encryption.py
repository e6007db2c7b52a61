"""Which columns are sealed, under which key, and all of them at once: sealed again, or looked at whether they open.

* A *sealed* value is bound to its place (`table.column`) and its row, named by a text (its id); the same text sealed
  twice is not the same.
* A *veiled* one can be found again: the same text gives the same value, so it can be compared and indexed.

`store/sqlite/sealed_values.py` seals and opens single values. Only the schema's files, which sealed what older versions
had in the clear, do so in SQL: `seal('table.column', row, text)`, `unseal`, `veil('table.column', text)` and `unveil`;
all map NULL to NULL, and `unveil_or_null` also what is damaged.

A database is sealed under one key at a time: `reseal` changes that in one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from zapwire.model.errors import StoreError
from zapwire.vault.columns import Columns
from zapwire.vault.keys import Damaged, KeyRing

TOKEN_PROOF: Final = "tokens.proof"  # noqa: S105 - a place, not a secret
"""Place of what says that a token was made with the master key."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """A column that `seal` fills, or `veil`; *row* is the SQL expression of what names its row."""

    table: str
    column: str
    row: str
    veiled: bool = False

    @property
    def place(self) -> str:
        """What its values are bound to."""
        return f"{self.table}.{self.column}"


_MESSAGE: Final = "bot || '/' || whatsapp_id"
_DELIVERY: Final = "endpoint || '/' || seq"

COLUMNS: Final = (
    Sealed("bots", "name", "id"),
    Sealed("bots", "phone", "id"),
    Sealed("bots", "push_name", "id"),
    Sealed("bots", "proxy", "id"),
    Sealed("bots", "pairing_options", "id"),
    Sealed("bots", "ignored", "id"),
    Sealed("person_addresses", "address", "bot || '/' || person || '/' || told", veiled=True),
    Sealed("messages", "chat", _MESSAGE, veiled=True),
    Sealed("messages", "sender", _MESSAGE, veiled=True),
    Sealed("messages", "content", _MESSAGE),
    Sealed("messages", "push_name", _MESSAGE),
    Sealed("journal", "data", "id"),
    Sealed("outbox", "chat", "id", veiled=True),
    Sealed("outbox", "content", "id"),
    Sealed("outbox", "digest", "id"),
    Sealed("outbox", "notes", "id"),
    Sealed("endpoints", "url", "id"),
    Sealed("endpoints", "secret", "id"),
    Sealed("endpoints", "headers", "id"),
    Sealed("endpoints", "private_key", "id"),
    Sealed("endpoints", "retired", "id"),
    Sealed("endpoints", "description", "id"),
    Sealed("tokens", "proof", "id"),
    Sealed("deliveries", "lane", _DELIVERY, veiled=True),
    Sealed("deliveries", "answer", _DELIVERY),
    Sealed("dead_letters", "event", _DELIVERY),
    Sealed("history_notices", "notice", _MESSAGE),
    Sealed("media", "file", "id"),
    Sealed("poll_votes", "options", "bot || '/' || poll || '/' || voter"),
)
"""Every one of them is sealed again when the master key changes."""


@contextmanager
def functions(sql: sqlite3.Connection, columns: Columns) -> Iterator[None]:
    """For the schema's files: the functions that seal, and those that note the key in the table `vault`."""
    made: dict[str, tuple[int, Callable[..., Any]]] = {
        "seal": (3, _null_stays(columns.seal)),
        "unseal": (3, _null_stays(columns.unseal)),
        "veil": (2, _null_stays(columns.veil)),
        "unveil": (2, _null_stays(columns.unveil)),
        "unveil_or_null": (2, _null_stays(partial(_unveil_or_null, columns))),
        "vault_salt": (0, lambda: columns.salt),
        "vault_verifier": (0, columns.verifier),
        "vault_fingerprint": (0, lambda: columns.fingerprint),
    }
    for name, (arguments, function) in made.items():
        sql.create_function(name, arguments, function)
    try:
        yield
    finally:
        for name, (arguments, _) in made.items():
            sql.create_function(name, arguments, None)


def choose(sql: sqlite3.Connection, keys: KeyRing) -> Columns:
    """The columns of this database under the key that opens it; a database without sealed columns gets a new salt.

    Raises `StoreError` when none of *keys* is the right one.
    """
    noted = _noted(sql)
    if noted is None:
        return Columns(keys.sealing, Columns.new_salt())
    salt, verifier, fingerprint = noted
    for key in keys:
        columns = Columns(key, salt)
        if columns.opens(verifier):
            return columns
    have = " and ".join(key.fingerprint for key in keys)
    raise StoreError(
        f"the database is sealed with the master key {fingerprint}, not with the one given ({have}): give the key back "
        "that it was sealed with; see `zapwire key status`"
    )


def fingerprint(path: Path) -> str | None:
    """Which master key seals the database at *path*; None when there is none, or none of its columns are sealed.

    Raises `StoreError` when that cannot be read.
    """
    if not path.exists():
        return None
    try:
        with closing(look_into(path)) as sql:
            noted = _noted(sql)
    except sqlite3.Error as error:
        raise StoreError(f"cannot use the database {path}: {error}") from error
    return None if noted is None else noted[2]


def look_into(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing at *path*, nor beside it. Raises sqlite3.Error."""
    # A reader of a database in WAL mode makes a WAL, and leaves it there, unless it takes the file for unchangeable.
    lonely = "" if path.with_name(f"{path.name}-wal").exists() else "&immutable=1"
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{lonely}", uri=True)


def reseal(sql: sqlite3.Connection, old: Columns, new: Columns) -> int:
    """Seal every column under *new* instead of *old*, in one transaction; returns how many values that were.

    Raises `StoreError`, having changed nothing, when one of them does not open.
    """

    def again(place: str, row: str, sealed: bytes) -> bytes:
        return new.seal(place, row, old.unseal(place, row, sealed))

    def veil_again(place: str, veiled: bytes) -> bytes:
        return new.veil(place, old.unveil(place, veiled))

    sql.create_function("seal_again", 3, again)
    sql.create_function("veil_again", 2, veil_again)
    count = 0
    sql.execute("BEGIN IMMEDIATE")
    try:
        for one in COLUMNS:
            count += sql.execute(_resealing(one)).rowcount
        sql.execute(
            "UPDATE vault SET salt = ?, verifier = ?, fingerprint = ?", (new.salt, new.verifier(), new.fingerprint)
        )
        sql.execute("COMMIT")
    except sqlite3.Error as error:
        sql.execute("ROLLBACK")
        damaged = next(verify(sql, old), None)
        what = f"{damaged} does not open" if damaged is not None else str(error)
        raise StoreError(f"the database could not be sealed again, and is as it was: {what}") from error
    return count


def verify(sql: sqlite3.Connection, columns: Columns) -> Iterator[str]:
    """Open every sealed value; yields `table.column of row ...` for each that does not."""
    for one in COLUMNS:
        query = f"SELECT {one.row}, {one.column} FROM {one.table} WHERE {one.column} IS NOT NULL"  # noqa: S608 - constants
        for row, value in sql.execute(query):
            try:
                if one.veiled:
                    columns.unveil(one.place, value)
                else:
                    columns.unseal(one.place, row, value)
            except Damaged:
                yield f"{one.place} of row {row}"
    yield from _foreign_tokens(sql, columns)


def token_proof(name: str, digest: bytes, created: int) -> str:
    """What is sealed in a token's row, and says what the row has to be; the schema writes it in the same way."""
    return f"{name}\n{digest.hex()}\n{created}"


def _foreign_tokens(sql: sqlite3.Connection, columns: Columns) -> Iterator[str]:
    """Tokens whose proof is that of another row."""
    for ours, name, digest, created, proof in sql.execute("SELECT id, name, hash, created_at, proof FROM tokens"):
        with suppress(Damaged):  # told above
            if columns.unseal(TOKEN_PROOF, ours, proof) != token_proof(name, digest, created):
                yield f"{TOKEN_PROOF} of row {ours}"


def _resealing(one: Sealed) -> str:
    function = "veil_again" if one.veiled else "seal_again"
    arguments = ", ".join([f"'{one.place}'", *(() if one.veiled else (one.row,)), one.column])
    return f"UPDATE {one.table} SET {one.column} = {function}({arguments}) WHERE {one.column} IS NOT NULL"  # noqa: S608


def _noted(sql: sqlite3.Connection) -> tuple[bytes, bytes, str] | None:
    if sql.execute("SELECT 1 FROM sqlite_master WHERE name = 'vault'").fetchone() is None:
        return None
    salt, verifier, fingerprint = sql.execute("SELECT salt, verifier, fingerprint FROM vault").fetchone()
    return bytes(salt), bytes(verifier), str(fingerprint)


def _unveil_or_null(columns: Columns, place: str, veiled: bytes) -> str | None:
    try:
        return columns.unveil(place, veiled)
    except (Damaged, TypeError):
        return None


def _null_stays(function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        return None if arguments[-1] is None else function(*arguments)

    return called
