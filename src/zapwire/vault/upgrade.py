"""From a database in the clear to a sealed one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

from zapwire.vault import files
from zapwire.vault.keys import OVERHEAD, MasterKey
from zapwire.vault.pages import PAGE
from zapwire.vault.sqlite import Connection

_COPY: Final = "/upgrade"
_OLD: Final = ".plain"


def plain_image(code: Any, path: Path) -> bytes:
    """The plain database at *path* as one committed state, in the shape that can be sealed; also while it is in use by
    this process. Raises `SqliteError`.
    """
    # The copy is made in memory: its pages leave the room that a seal needs, which only a VACUUM can make.
    name = f"{_COPY}-{os.urandom(8).hex()}"
    with (
        Connection(code, name, "vfs=memdb", create=True) as memory,
        Connection(code, str(path), "vfs=unix") as connection,
    ):
        connection.leave_the_wal()
        connection.reserve(OVERHEAD)
        connection.run(f"PRAGMA page_size={PAGE}")
        connection.run(f"VACUUM INTO 'file:{name}?vfs=memdb'")
        return memory.image()


def seal(code: Any, path: Path, master: MasterKey) -> bool:
    """Replace the plain database at *path* by a sealed one and overwrite the plain one; False when there is none.

    Can be repeated after a crash at any point. Nothing may have the file open. Raises `SqliteError` for a damaged one.
    """
    old = path.with_name(path.name + _OLD)
    if files.is_plain_database(path):
        old.unlink(missing_ok=True)  # only a second name of the same file
        image = plain_image(code, path)
        os.link(path, old)
        files.write(path, image, master)
    if not old.exists():
        return False
    # The old WAL goes first: as long as the second name is there, nobody has used the sealed file.
    for suffix in ("-wal", "-shm", "-journal"):
        _destroy(path.with_name(path.name + suffix))
    _destroy(old)
    files.sync_folder(path)
    return True


def _destroy(file: Path) -> None:
    files.shred(file)
    file.unlink(missing_ok=True)
