"""The database as a whole under another master key, and a look whether everything in it opens; no daemon may run."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from zapwire.model.bots import Identity
from zapwire.model.errors import StoreError
from zapwire.store.sqlite import encryption
from zapwire.store.sqlite.connections import BUSY_TIMEOUT
from zapwire.store.sqlite.file import errors, files
from zapwire.store.sqlite.migrations import prepare, scour
from zapwire.store.sqlite.sealed_values import SealedConnection, connect
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork
from zapwire.vault.columns import Columns
from zapwire.vault.keys import KeyRing


def rekey(path: Path, keys: KeyRing) -> int:
    """Seal the database at *path* under the first of *keys*; returns how many values that were, 0 when it was.

    One transaction, so a crash leaves all of it under one key. Nothing sealed with the old one stays in free pages.
    Raises `StoreError`.
    """
    with errors(path), files(path, shared=False), closing(_open(path, keys)) as sql:
        old, count = encryption.choose(sql, keys), 0
        if old.fingerprint != keys.sealing.fingerprint:
            count = encryption.reseal(sql, old, Columns(keys.sealing, Columns.new_salt()))
        scour(sql)
        return count


def verify(path: Path, keys: KeyRing) -> list[str]:
    """What in the database at *path* does not open or is not whole, one line each. Raises `StoreError`."""
    with errors(path), files(path, shared=False), closing(_open(path, keys)) as sql:
        faults = [str(row[0]) for row in sql.execute("PRAGMA integrity_check") if row[0] != "ok"]
        return faults + list(encryption.verify(sql, encryption.choose(sql, keys)))


def accounts(path: Path, keys: KeyRing) -> dict[str, Identity]:
    """Whom the bots of the database at *path* are linked to. Raises `StoreError`."""
    with errors(path), files(path, shared=False), closing(_open(path, keys)) as sql:
        return {row.id: row.identity for row in SqliteUnitOfWork(sql).bots.all_bots()}


def _open(path: Path, keys: KeyRing) -> SealedConnection:
    if not path.exists():
        raise StoreError(f"there is no database at {path}")
    sql = connect(path, BUSY_TIMEOUT)
    try:
        prepare(keys, sql)
    except BaseException:
        sql.close()
        raise
    return sql
