"""From a database in the clear to a sealed one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from zapwire.runtime import durable_files
from zapwire.vault import sealed_files
from zapwire.vault.keys import OVERHEAD, MasterKey
from zapwire.vault.sealed_files import FileLock, InUse
from zapwire.vault.sealed_pages import PAGE, PageRefused
from zapwire.vault.sqlite import EngineConnection, SqliteError

_COPY: Final = "/upgrade"
_OLD: Final = ".plain"


def plain_image(code: Any, path: Path) -> bytes:
    """The plain database at *path* as one committed state, in the shape that can be sealed; also while it is in use by
    this process. Raises `SqliteError`.
    """
    # The copy is made in memory: its pages leave the room that a seal needs, which only a VACUUM can make.
    name = f"{_COPY}-{os.urandom(8).hex()}"
    with (
        EngineConnection(code, name, "vfs=memdb", create=True) as memory,
        EngineConnection(code, str(path), "vfs=unix") as connection,
    ):
        connection.leave_the_wal()
        connection.run(f"PRAGMA page_size={PAGE}")
        connection.reserve(OVERHEAD)  # last: choosing a page size takes it back
        connection.run(f"VACUUM INTO 'file:{name}?vfs=memdb'")
        return memory.image()


def seal(code: Any, path: Path, master: MasterKey) -> bool:
    """Replace the plain database at *path* by a sealed one and overwrite the plain one; False when there is none.

    Can be repeated after a crash at any point. Nothing may have the file open. Raises `SqliteError` for a damaged one.
    """
    old = path.with_name(path.name + _OLD)
    if sealed_files.is_plain_database(path):
        old.unlink(missing_ok=True)  # only a second name of the same file
        image = plain_image(code, path)
        os.link(path, old)
        sealed_files.write(path, image, master)
    if not old.exists():
        return False
    # The old WAL goes first: as long as the second name is there, nobody has used the sealed file.
    for suffix in ("-wal", "-shm", "-journal"):
        _destroy(path.with_name(path.name + suffix))
    _destroy(old)
    durable_files.sync_folder(path)
    return True


def seal_all(code: Any, folder: Path, master: MasterKey) -> Iterator[tuple[str, Exception | None]]:
    """`seal` every plain database in *folder*: the name of each, and what stood in the way, if anything did."""
    names = {path.name.removesuffix(_OLD) for path in folder.glob("*.db*") if path.name.endswith((".db", _OLD))}
    for name in sorted(names):
        path, error = folder / name, None
        lock = FileLock(path)
        if not sealed_files.is_plain_database(path) and not path.with_name(name + _OLD).exists():
            continue
        try:
            lock.take()
            seal(code, path, master)
        except (SqliteError, InUse, PageRefused) as problem:
            error = problem
        finally:
            lock.release()
        yield name, error


def _destroy(file: Path) -> None:
    durable_files.shred(file)
    file.unlink(missing_ok=True)
