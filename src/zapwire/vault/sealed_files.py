"""Sealed files without SQLite: made, checked, re-written and destroyed in plain Python, and the lock beside each.

None of this may touch a file that SQLite has open in this process: closing any descriptor of a file drops the locks
that the process holds on it (POSIX). `database.py` keeps to that.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from zapwire.runtime import durable_files, file_owner
from zapwire.vault.keys import Damaged, Foreign, KeyRing, MasterKey, Missing
from zapwire.vault.sealed_pages import EMPTY_DATABASE, FRAME_HEADER, PAGE, WAL_HEADER, FileKeys, is_plain, salt_of

_FIRST_FRAME: Final = WAL_HEADER + FRAME_HEADER
_WAL_MODE: Final = b"\x02\x02"
_EXPECTED: Final = b"there is a database beside this lock\n"


class InUse(Exception):
    """Somebody else works with the file."""


@dataclass(frozen=True, slots=True)
class UnlockedFile:
    """The outcome of a key check."""

    keys: FileKeys
    master: MasterKey
    torn: bool
    """Page 1 was cut by a crash; the WAL has it."""


class FileLock:
    """The lock file `<path>.lock`: one process a database, even when something drops SQLite's own locks.

    Its content says whether there has to be a database beside it, so that a deleted one is noticed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take it, if this object does not hold it already; was it taken now. Raises `InUse`."""
        if self._descriptor is not None:
            return False
        while True:
            descriptor = file_owner.open_or_make(self.path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(descriptor)
                message = f"{self.path.name.removesuffix('.lock')} is in use by another process"
                raise InUse(message) from None
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == self.path.stat().st_ino:
                    self._descriptor = descriptor
                    return True
            os.close(descriptor)  # whoever held it has removed it meanwhile

    @property
    def expects(self) -> bool:
        """Has there to be a database?"""
        return self._descriptor is not None and os.pread(self._descriptor, len(_EXPECTED), 0) == _EXPECTED

    def expect(self, *, there: bool) -> None:
        """From now on there has to be one, or none."""
        if self._descriptor is None or self.expects == there:
            return
        os.ftruncate(self._descriptor, 0)
        if there:
            os.pwrite(self._descriptor, _EXPECTED, 0)
        os.fsync(self._descriptor)

    def release(self) -> None:
        """Let it go."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Let it go and delete it."""
        self.path.unlink(missing_ok=True)
        self.release()


def create(path: Path, master: MasterKey) -> FileKeys:
    """Make an empty sealed database, atomically. Raises FileExistsError."""
    if path.exists() or wal_of(path).exists():
        raise FileExistsError(path)
    return write(path, bytes(EMPTY_DATABASE), master)


def write(path: Path, image: bytes, master: MasterKey) -> FileKeys:
    """Seal *image*, a database in `pages.py`'s shape, under a new key as *path*: all of it or nothing, also in a crash.

    A file that was there is replaced. Raises `Refused` for an image of another shape.
    """
    image = image[:18] + _WAL_MODE + image[20:]
    keys = FileKeys.new(master, name_of(path))
    durable_files.publish(path, (keys.seal_page(at, image[at : at + PAGE]) for at in range(0, len(image), PAGE)))
    return keys


def write_plain(path: Path, image: bytes) -> None:
    """Write *image* as it is, all of it or nothing, for those who chose not to seal. Raises FileExistsError."""
    if path.exists():
        raise FileExistsError(path)
    durable_files.publish(path, [image])


def unlock(path: Path, ring: KeyRing) -> UnlockedFile:
    """Find the key that opens *path*, before SQLite sees the file.

    With a wrong key SQLite would take the WAL for an empty one and delete it. Raises `Damaged` with the reason,
    `Missing`, and `Foreign` for the file of another bot.
    """
    if path.is_symlink():
        message = "it is a link to another file"
        raise Foreign(message)
    try:
        with path.open("rb") as file:
            page = file.read(PAGE)
    except FileNotFoundError:
        message = "the file is missing"
        raise Missing(message) from None
    if is_plain(page):
        message = "the file is not sealed"
        raise Damaged(message)
    if salt_of(page) is None or len(page) < PAGE:
        message = "the file is empty, cut short or no sealed database"
        raise Damaged(message)
    frame = _first_frame(wal_of(path))
    if (opened := _opened(page, frame, ring, name_of(path))) is not None:
        return opened
    for other in _names_beside(path):
        if _opened(page, frame, ring, other) is not None:
            message = f"it is the file of {other}"
            raise Foreign(message)
    message = "the master key is another one, the file was made for a bot of another name, or its first page is damaged"
    raise Damaged(message)


def name_of(path: Path) -> str:
    """What a sealed file at *path* is bound to: the bot's id."""
    return path.name.removesuffix(".db")


def _opened(page: bytes, frame: bytes, ring: KeyRing, name: str) -> UnlockedFile | None:
    candidates = [(master, FileKeys.derive(master, page[:16], name)) for master in ring]
    for master, keys in candidates:
        with contextlib.suppress(Damaged):
            keys.open_page(0, page)
            return UnlockedFile(keys, master, torn=False)
    for master, keys in candidates:
        with contextlib.suppress(Damaged):
            keys.open_frame(_FIRST_FRAME, frame)
            return UnlockedFile(keys, master, torn=True)
    return None


def _names_beside(path: Path) -> list[str]:
    """Of the other sealed files that are, or have to be, in the same folder."""
    names = {file.name.removesuffix(".lock").removesuffix(".db") for file in path.parent.glob("*.db*")}
    return sorted(name for name in names if "." not in name and name != name_of(path))


def expected(folder: Path) -> list[Path]:
    """The databases in *folder* that their locks say have to be there."""
    locks = (lock for lock in folder.glob("*.db.lock") if lock.read_bytes() == _EXPECTED)
    return [lock.with_name(lock.name.removesuffix(".lock")) for lock in locks]


def destroy(path: Path) -> None:
    """Destroy the key of a sealed database by overwriting its salt, then delete it; no error when there is none."""
    for file in (durable_files.new_of(path), path, wal_of(path)):
        durable_files.shred(file, durable_files.SHREDDED)
    for suffix in ("", "-wal", "-shm", "-journal", ".new"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    if path.parent.exists():
        durable_files.sync_folder(path)


def is_plain_database(path: Path) -> bool:
    """Is there an SQLite file that is not sealed? Only for files that are not in use."""
    try:
        with path.open("rb") as file:
            return is_plain(file.read(16))
    except FileNotFoundError:
        return False


def is_sealed_database(path: Path) -> bool:
    """Is there a sealed one? Only for files that are not in use."""
    try:
        with path.open("rb") as file:
            return salt_of(file.read(16)) is not None
    except FileNotFoundError:
        return False


def wal_of(path: Path) -> Path:
    """The WAL of a database."""
    return path.with_name(path.name + "-wal")


def _first_frame(wal: Path) -> bytes:
    try:
        with wal.open("rb") as file:
            file.seek(_FIRST_FRAME)
            return file.read(PAGE)
    except FileNotFoundError:
        return b""
