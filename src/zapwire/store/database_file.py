"""The database's file: who may read it, which one process has it, and how its troubles are told."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zapwire import owners
from zapwire.errors import StoreError


@contextmanager
def files(path: Path, *, shared: bool) -> Iterator[None]:
    """Make the file readable by its owner only, and hold the lock beside it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(owners.open_or_make(path))
    path.chmod(0o600)
    if shared:
        yield
        return
    lock = owners.open_or_make(path.with_name(f"{path.name}.lock"))
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another zapwire daemon uses the database {path}: stop it, or give this one another database"
            ) from None
        yield
    finally:
        os.close(lock)


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
