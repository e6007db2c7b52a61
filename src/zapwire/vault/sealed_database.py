"""One sealed database: made, opened, looked into, copied, re-keyed and destroyed, under the rules that keep it whole.

A key is checked in Python before SQLite sees the file; a first page that a crash has torn is mended from the WAL; a
lock beside the file keeps other processes out. Once registered, a file is only touched through SQLite: connections of
the engine may have it open, for ever even (docs/engine.md's E8). All methods block, and may be called on any thread.
Those that use SQLite also raise `SqliteError` for troubles that are no damage, like a full disk.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from zapwire.runtime import durable_files
from zapwire.vault import sealed_files
from zapwire.vault.handlers import SealedFile
from zapwire.vault.keys import Damaged, KeyRing, MasterKey, Missing
from zapwire.vault.sealed_files import FileLock, InUse
from zapwire.vault.sealed_pages import FileKeys
from zapwire.vault.sqlite import IOERR_DATA, NOTADB, EngineConnection, SqliteError, Value
from zapwire.vault.vfs import Vfs

log = logging.getLogger(__name__)

_BUSY: Final = frozenset({5, 6})
_DAMAGED: Final = frozenset({11, NOTADB, IOERR_DATA})


class SealedDatabase:
    """The sealed database at one path."""

    def __init__(self, path: Path, vfs: Vfs, ring: KeyRing, on_damage: Callable[[str], None] | None = None) -> None:
        """*on_damage* is told what does not open while the file is in use; on any thread, must not block."""
        self.path = path.parent.resolve() / path.name
        self._vfs = vfs
        self._ring = ring
        self._on_damage = on_damage or (lambda _what: None)
        self._guard = threading.RLock()
        self._lock = FileLock(self.path)
        self._file: SealedFile | None = None
        self._master: MasterKey | None = None
        self._inode: int | None = None

    @property
    def options(self) -> str:
        """What the query of its file name has to say for the engine to open it; it has to be open here."""
        return self._vfs.options(self._opened())

    @property
    def keys(self) -> FileKeys:
        """Its own keys, for another process that is to open it; it has to be open here."""
        return self._opened().keys

    @property
    def fingerprint(self) -> str:
        """Names the master key under which it is sealed; it has to be open here."""
        self._opened()
        return self._master.fingerprint if self._master is not None else ""

    @property
    def bound(self) -> bool:
        """Does it open under its own name only? It has to be open here."""
        return self.keys.bound

    def exists(self) -> bool:
        """Is there anything to open? Raises `Missing` when there should be, and `InUse`."""
        with self._guard:
            if self.path.exists():
                return True
            fresh = self._lock.take() if self._lock.path.exists() else False
            expected = self._lock.expects
            if fresh:
                self._lock.release()
            if expected:
                message = "the file is missing"
                raise Missing(message)
            return False

    def create(self) -> None:
        """Make an empty one. Raises FileExistsError and `InUse`."""
        with self._guard, self._locked():
            sealed_files.create(self.path, self._ring.sealing)
            self.open()

    def write(self, image: bytes) -> None:
        """Make one that holds *image* (`image` made it). Raises FileExistsError, `InUse`, `Damaged` and `Refused`."""
        with self._guard, self._locked():
            if self.path.exists():
                raise FileExistsError(self.path)
            sealed_files.wal_of(self.path).unlink(missing_ok=True)
            sealed_files.write(self.path, image, self._ring.sealing)
            try:
                self.open()
            except BaseException:
                sealed_files.destroy(self.path)  # what cannot be opened must not stand in the way of another try
                raise

    def open(self) -> None:
        """Check the key, mend what a crash has torn, and let SQLite open the file from now on.

        Does nothing when that was done before. Raises `Damaged` (the file stays as it is) and `InUse`.
        """
        with self._guard:
            if self._file is not None and self._inode == self._inode_now():
                return
            with self._locked():
                try:
                    self._register()
                except BaseException:
                    self._forget()
                    raise

    def keep(self) -> None:
        """From now on it has to be there: a deleted one is no reason to make a new one."""
        with self._guard:
            self._opened()
            self._lock.expect(there=True)

    def connect(self) -> EngineConnection:
        """Open it and give a connection. Raises `Damaged`, `InUse` and `SqliteError`."""
        with self._guard:
            self.open()
            return self._vfs.connect(self._opened())

    def query(self, sql: str) -> list[tuple[Value, ...]]:
        """Open it and run one statement. Raises `Damaged` and `InUse`."""
        with self._guard, self._judged(), self.connect() as connection:
            return connection.run(sql)

    def image(self) -> bytes:
        """Open it and copy it as one committed state, in the clear; also while it is in use. `Damaged`, `InUse`."""
        with self._guard, self._judged(), self.connect() as connection:
            return self._whole_image(connection)

    def rekey(self) -> bool:
        """Seal it again under the ring's first key and its own name; False when it was.

        Before or after a crash one of its keys opens it.

        Raises `Damaged`, and `InUse` also when any connection of this process has it open.
        """
        with self._guard:
            self.open()
            file = self._opened()
            if self._master == self._ring.sealing and file.keys.bound:
                return False
            if self._vfs.is_open(file):
                message = f"{self.path.name} is in use by this process"
                raise InUse(message)
            with self._judged(), self.connect() as connection:
                connection.checkpoint()
                image = self._whole_image(connection)
            if sealed_files.wal_of(self.path).exists():  # the last connection that closes deletes it
                message = f"{self.path.name} is in use by another process"
                raise InUse(message)
            self._forget()
            sealed_files.write(self.path, image, self._ring.sealing)
            self.open()
            return True

    def close(self) -> None:
        """Let other processes have it. Raises `InUse` when a connection of this process has it open."""
        with self._guard:
            if self._file is not None and self._vfs.is_open(self._file):
                message = f"{self.path.name} is in use by this process"
                raise InUse(message)
            self._forget()
            self._lock.release()

    def destroy(self) -> None:
        """Destroy the key, then the file; no error when there is none. Connections that outlive it get errors.

        Raises `InUse` when another process has it.
        """
        with self._guard:
            if not self.path.parent.exists():
                return
            self._lock.take()
            self._lock.expect(there=False)
            if self._file is not None:
                self._file.gone = True
            self._forget()
            sealed_files.destroy(self.path)
            self._lock.remove()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Have the lock, from now on if all goes well. Raises `InUse`."""
        fresh = self._lock.take()
        try:
            yield
        except BaseException:
            if fresh and not self.path.exists() and not self._lock.expects:
                self._lock.remove()
            elif fresh:
                self._lock.release()
            raise

    def _register(self) -> None:
        opened = sealed_files.unlock(self.path, self._ring)
        durable_files.new_of(self.path).unlink(missing_ok=True)
        self._inode, self._master = self._inode_now(), opened.master
        file = self._file = SealedFile(str(self.path), opened.keys, self._on_damage, torn=opened.torn)
        self._vfs.add(file)
        with self._judged():
            with self._vfs.connect(file) as connection:
                connection.run("PRAGMA schema_version")
                if opened.torn:
                    connection.checkpoint()
            if opened.torn:
                file.torn = False
                with self._vfs.connect(file) as connection:
                    connection.run("PRAGMA schema_version")
                log.warning("%s: a crash had torn its first page; it was mended from the WAL", self.path)

    def _whole_image(self, connection: EngineConnection) -> bytes:
        connection.run("PRAGMA schema_version")  # recovers the WAL first, where failing reads are nothing special
        file = self._opened()
        before = file.failures
        image = connection.image()
        if file.failures != before:
            message = "a part of the file cannot be read"
            raise Damaged(message)
        return image

    @contextmanager
    def _judged(self) -> Iterator[None]:
        """Turn what SQLite says into `Damaged` or `InUse`; a full disk, say, is neither."""
        try:
            yield
        except SqliteError as error:
            if error.code & 0xFF in _BUSY:
                raise InUse(str(error)) from error
            if error.code not in _DAMAGED:
                raise
            if self._file is not None and not self._vfs.is_open(self._file):
                self._forget()  # so that the next attempt looks again: a person may have put another file there
            raise Damaged(str(error)) from error

    def _forget(self) -> None:
        if self._file is not None and self._vfs.get(self._file.path) is self._file:
            self._vfs.remove(self._file.path)
        self._file = self._master = self._inode = None

    def _opened(self) -> SealedFile:
        if self._file is None:
            message = "the database was not opened"
            raise RuntimeError(message)
        return self._file

    def _inode_now(self) -> int | None:
        try:
            return self.path.stat().st_ino
        except FileNotFoundError:
            return None
