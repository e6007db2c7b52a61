"""The database's file: who may read it, which one process has it, and how its troubles are reported."""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zapwire.model.errors import StoreError
from zapwire.runtime import file_owner

_LOCKED_BYTE = 1 << 62
"""Where the database itself is locked: SQLite locks bytes from 1 << 30 on, and no file gets as large as this."""


@contextmanager
def files(path: Path, *, shared: bool) -> Iterator[None]:
    """Make the file readable by its owner only, and hold what keeps another daemon away: the lock beside it, and one on
    the file itself, which holds when somebody deletes the other.

    SQLite must have the file open only within: closing any other descriptor of it ends SQLite's own locks (POSIX).
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if shared and path.exists():
        yield
        return
    with _open(path) as database:
        path.chmod(0o600)
        if shared:
            yield
            return
        with _open(path.with_name(f"{path.name}.lock")) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _lock_byte(database)
            except BlockingIOError:
                raise StoreError(
                    f"another zapwire daemon uses the database {path}: stop it, or give this one another database"
                ) from None
            yield


@contextmanager
def _open(path: Path) -> Iterator[int]:
    descriptor = file_owner.open_or_make(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _lock_byte(descriptor: int) -> None:
    """Lock one byte for this descriptor, whatever else the process opens and closes (Linux: an open file description
    lock). Raises BlockingIOError when somebody has it. Elsewhere than on Linux it does nothing.
    """
    if sys.platform == "linux":
        flock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, _LOCKED_BYTE, 1, 0)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, flock)
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOLCK}:  # file systems that have no such locks
                raise


@contextmanager
def errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system say about the database at *path* into `StoreError`."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreError(f"cannot use the database {path}: {error}") from error
    except OSError as error:
        if str(error.filename or "").startswith(str(path)) or error.filename == str(path.parent):
            raise StoreError(f"cannot use the database {path}: {error.strerror}") from error
        raise
