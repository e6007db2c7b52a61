"""What a new connection to the database needs before it is used: durability, the functions that seal, the schema.

The schema comes in numbered files; `user_version` says which of them the database has seen.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources

from zapwire.model.errors import StoreError
from zapwire.store.sqlite import encryption
from zapwire.store.sqlite.sealed_values import DamageLog, SealedConnection, Values
from zapwire.vault.keys import KeyRing

_FIRST_SEALED = 3
"""Schema from which on columns are sealed."""
_TO_SCOUR = 0x7363
"""The `application_id` of a database in whose free pages and WAL something readable may be."""


def prepare(keys: KeyRing | None, sql: SealedConnection, damages: DamageLog | None = None) -> int:
    """Make a new connection fit for writing: durability, sealing, schema. Returns the last number in the journal.

    What does not open is reported to *damages*.
    """
    sql.execute("PRAGMA journal_mode = WAL")
    sql.execute("PRAGMA synchronous = FULL")
    found = int(sql.execute("PRAGMA user_version").fetchone()[0])
    columns = None if keys is None else encryption.choose(sql, keys)
    sql.values = Values(columns, damages or DamageLog())
    if columns is not None and 0 < found < _FIRST_SEALED:
        sql.execute(f"PRAGMA application_id = {_TO_SCOUR}")  # so that it is done even after a crash
    if columns is None:
        _migrate(sql, able=False)
    else:
        with encryption.functions(sql, columns), _nothing_left(sql):
            _migrate(sql, able=True)
    if keys is not None and int(sql.execute("PRAGMA application_id").fetchone()[0]) == _TO_SCOUR and scour(sql):
        sql.execute("PRAGMA application_id = 0")
    sql.execute("PRAGMA foreign_keys = ON")  # not before: a migration that rebuilds a table would empty others
    row = sql.execute("SELECT seq FROM sqlite_sequence WHERE name = 'journal'").fetchone()
    return int(row[0]) if row else 0


def prepare_reader(values: Values, sql: SealedConnection) -> None:
    """Make a new connection fit for reading, and for nothing else."""
    sql.values = values
    sql.execute("PRAGMA query_only = ON")


def scour(sql: sqlite3.Connection) -> bool:
    """Leave nothing in free pages and in the WAL of what has just been sealed or deleted; False when somebody who reads
    kept the WAL.
    """
    sql.execute("VACUUM")
    return int(sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]) == 0


@contextmanager
def _nothing_left(sql: SealedConnection) -> Iterator[None]:
    """Overwrite within what is deleted or replaced, which some file of the schema may be sealing."""
    (found,), (before,) = (sql.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "secure_delete"))
    sql.execute("PRAGMA secure_delete = ON")
    yield
    sql.execute(f"PRAGMA secure_delete = {before}")
    if 0 < found < int(sql.execute("PRAGMA user_version").fetchone()[0]):
        sql.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _migrate(sql: sqlite3.Connection, *, able: bool) -> None:
    """Apply the schema files that the database has not seen, each in a transaction of its own, if we are *able* to."""
    steps = sorted(_migrations())
    found, newest = int(sql.execute("PRAGMA user_version").fetchone()[0]), steps[-1][0]
    if found < newest and not able:
        raise StoreError("the database comes from an older zapwire: start the daemon once, which brings it up to date")
    for number, script in steps:
        sql.execute("BEGIN IMMEDIATE")  # another process may be doing the same
        try:
            if int(sql.execute("PRAGMA user_version").fetchone()[0]) < number:
                for statement in _statements(script):
                    sql.execute(statement)
                sql.execute(f"PRAGMA user_version = {number}")
            sql.execute("COMMIT")
        except BaseException:
            sql.execute("ROLLBACK")
            raise
    if found > newest:
        raise StoreError(
            f"the database has schema {found}, but this zapwire knows only up to {newest}: "
            "start the newer zapwire, or give another database"
        )


def newest() -> int:
    """The number of the present schema."""
    return max(number for number, _ in _migrations())


def _migrations() -> Iterator[tuple[int, str]]:
    for file in resources.files("zapwire.store.sqlite").joinpath("schema").iterdir():
        if file.name.endswith(".sql"):
            yield int(file.name.split("-")[0]), file.read_text("utf-8")


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        yield statement  # the last one, without its semicolon, or a comment
