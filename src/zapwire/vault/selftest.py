"""A look at the start whether sealing works with this very library: nothing may be sealed in name only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Final

from zapwire.vault.keys import Damaged, KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_files import InUse
from zapwire.vault.sqlite import SqliteError
from zapwire.vault.vfs import VaultUnavailable, Vfs

_PLANTED: Final = "zapwire self-test, not to be found on any disk"
_TELLTALES: Final = (_PLANTED.encode(), b"SQLite format", b"CREATE TABLE")


def check(vfs: Vfs, folder: Path) -> None:
    """Make a database in *folder*, write, look for plaintext, open it again, and try a wrong key; some 20 ms.

    Raises `VaultUnavailable`, and OSError about the folder.
    """
    with tempfile.TemporaryDirectory(prefix=".self-test-", dir=folder) as place:
        path, ring = Path(place).resolve() / "test.db", KeyRing(MasterKey.generate())
        try:
            _write(SealedDatabase(path, vfs, ring), Path(place))
            _read(SealedDatabase(path, vfs, ring))
            _refuse(SealedDatabase(path, vfs, KeyRing(MasterKey.generate())))
        except (Damaged, InUse, SqliteError) as error:
            message = f"the self-test of sealing failed: {error}"
            raise VaultUnavailable(message) from error


def _write(database: SealedDatabase, place: Path) -> None:
    database.create()
    with database.connect() as connection:
        connection.run("CREATE TABLE planted (text TEXT)")
        connection.run("INSERT INTO planted VALUES (?)", _PLANTED)
        _search(place)  # the WAL
    database.close()
    _search(place)  # and what a checkpoint made of it


def _search(place: Path) -> None:
    for file in place.iterdir():
        content = file.read_bytes() if file.suffix != ".lock" else b""
        if any(telltale in content for telltale in _TELLTALES):
            message = f"the self-test of sealing found plaintext in {file.suffix}"
            raise VaultUnavailable(message)


def _read(database: SealedDatabase) -> None:
    rows = database.query("SELECT text FROM planted")
    database.close()
    if rows != [(_PLANTED,)]:
        message = "the self-test of sealing did not get back what it had written"
        raise VaultUnavailable(message)


def _refuse(database: SealedDatabase) -> None:
    try:
        database.open()
    except Damaged:
        return
    message = "the self-test of sealing opened a database with a wrong key"
    raise VaultUnavailable(message)
