"""Files that are written as a whole or not at all, on the disk before anybody relies on them, and overwritten when
they go.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from zapwire.runtime import file_owner

SHREDDED: Final = 64 * 1024
"""Bytes overwritten at the beginning of a file whose key is destroyed."""


def publish(path: Path, parts: Iterable[bytes]) -> None:
    """Make *path* of *parts*, for its owner only (mode 0600): all of it or nothing, also in a crash, and on the disk.

    A file that was there is replaced by one of the same owner and mode. Raises OSError, having left nothing beside it.
    """
    new = new_of(path)
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb") as out:
            file_owner.like_before(out.fileno(), path)
            out.writelines(parts)
            out.flush()
            os.fsync(out.fileno())
        new.rename(path)
    except BaseException:
        new.unlink(missing_ok=True)  # a full disk has no room for halves
        raise
    sync_folder(path)


def new_of(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(path.name + ".new")


def shred(file: Path, limit: int | None = None) -> None:
    """Overwrite the first *limit* bytes (None: all) with noise, and see them onto the disk."""
    with contextlib.suppress(FileNotFoundError), file.open("r+b") as out:
        left = min(file.stat().st_size, limit or file.stat().st_size)
        while left > 0:
            left -= out.write(os.urandom(min(left, SHREDDED)))
        out.flush()
        os.fsync(out.fileno())


def sync_folder(path: Path) -> None:
    """See the names beside *path* onto the disk."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
