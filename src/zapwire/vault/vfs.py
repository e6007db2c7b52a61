"""An SQLite VFS that seals: registered as `sealed` inside the engine's own SQLite, on top of `unix-excl`.

Only `xOpen`, `xRead`, `xWrite` and `xClose` are Python; locks, syncs, truncates and the wal-index stay native.
`unix-excl` keeps the wal-index in memory (a `-shm` file would hold checksums of plaintext) and keeps other processes
out. What is not understood is refused, never passed through in the clear: files that were not registered, temporary
files, journals. What is read and written once a file is open: `handlers.py`.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any, ClassVar, Final

from zapwire.vault import sqlite
from zapwire.vault.handlers import DatabaseFile, SealedFile, Table, WalFile
from zapwire.vault.sealed_pages import FRAME, PAGE
from zapwire.vault.sqlite import ffi

log = logging.getLogger(__name__)

NAME: Final = "sealed"
BASE: Final = "unix-excl"
WAL_PAGES: Final = 256
"""After how many pages in the WAL a commit brings them into the database file: 1 MiB per bot instead of 4."""
SALT_PARAMETER: Final = "salt"
"""Option of the file name that says which file is meant: a path can be deleted and made again."""
_OPEN: Final = "int(sqlite3_vfs*, const char*, sqlite3_file*, int, int*)"
_CONNECT: Final = "int(sqlite3*, char**, void*)"
_OPTIONS: Final = b"PRAGMA temp_store=2; PRAGMA journal_size_limit=%d" % (WAL_PAGES * FRAME)
"""Temporary tables, sorts and statement journals stay in memory: never a temporary file."""


class VaultUnavailable(Exception):
    """This SQLite cannot be made to seal; the text says why."""


class Vfs:
    """The registered VFS; one per process and library. Registering cannot be undone while files are open."""

    _loaded: ClassVar[dict[Path, Vfs]] = {}
    _loading = threading.Lock()

    def __init__(self, code: Any) -> None:
        """Register it in *code*, a library from `sqlite.load`. Raises `VaultUnavailable`."""
        self.code = code
        self._registered: dict[str, SealedFile] = {}
        self._open: dict[Any, SealedFile] = {}
        self._connections: dict[Any, Any] = {}
        self.tables: dict[tuple[Any, str], Table] = {}
        self._lock = threading.Lock()
        try:
            for name in sqlite.EXPORTS:
                getattr(code, name)
            code.sqlite3_initialize()
            self._native = code.sqlite3_vfs_find(BASE.encode())
        except AttributeError as error:
            message = "the engine's library does not export the functions of its SQLite"
            raise VaultUnavailable(message) from error
        if self._native == ffi.NULL:
            message = f"the engine's SQLite has no VFS {BASE}"
            raise VaultUnavailable(message)
        self._register()
        atexit.register(self._leave)

    @classmethod
    def of(cls, library: Path) -> Vfs:
        """The one of *library*, registered at the first call. Raises `VaultUnavailable`."""
        with cls._loading:
            if library not in cls._loaded:
                try:
                    cls._loaded[library] = cls(sqlite.load(library))
                except OSError as error:
                    message = f"the engine's library cannot be loaded: {error}"
                    raise VaultUnavailable(message) from error
                except MemoryError as error:  # cffi's word for it
                    message = (
                        "this process may not make code while it runs, which the sealing needs: leave out systemd's "
                        "MemoryDenyWriteExecute=, or what else forbids it (PR_SET_MDWE, SELinux)"
                    )
                    raise VaultUnavailable(message) from error
            return cls._loaded[library]

    def add(self, file: SealedFile) -> None:
        """From now on SQLite can open `file.path`; what is open already keeps what it was opened with."""
        self._registered[file.path] = file

    def remove(self, path: str) -> None:
        """The reverse."""
        self._registered.pop(path, None)

    def get(self, path: str) -> SealedFile | None:
        """The file registered as *path*."""
        return self._registered.get(path)

    def is_open(self, file: SealedFile) -> bool:
        """Does any connection of this process have it open?"""
        return any(one is file for one in list(self._open.values()))

    def options(self, file: SealedFile) -> str:
        """The part of a file name's query that makes SQLite open this very file through this VFS."""
        return f"vfs={NAME}&{SALT_PARAMETER}={file.keys.salt.hex()}"

    def connect(self, file: SealedFile) -> sqlite.EngineConnection:
        """A connection for housekeeping. Raises `SqliteError`."""
        return sqlite.EngineConnection(self.code, file.path, self.options(file))

    def _register(self) -> None:
        self._name = ffi.new("char[]", NAME.encode())
        vfs = self._vfs = ffi.new("sqlite3_vfs*")
        ffi.memmove(vfs, self._native, ffi.sizeof("sqlite3_vfs"))
        vfs.iVersion = min(3, self._native.iVersion)
        vfs.zName, vfs.pNext = self._name, ffi.NULL
        self._on_open = ffi.callback(_OPEN, self._x_open, error=sqlite.CANTOPEN)
        vfs.xOpen = self._on_open
        self._on_connect = ffi.callback(_CONNECT, self._x_connect, error=sqlite.ERROR)
        self._extension = ffi.cast("void(*)(void)", self._on_connect)
        if self.code.sqlite3_auto_extension(self._extension) or self.code.sqlite3_vfs_register(vfs, 0):
            message = "the engine's SQLite does not take another VFS"
            raise VaultUnavailable(message)

    def _x_connect(self, db: Any, _error: Any, _api: Any) -> int:
        """SQLite has opened the database file of a new connection, sealed or not."""
        pointer = ffi.new("sqlite3_file**")
        self.code.sqlite3_file_control(db, b"main", sqlite.FCNTL_FILE_POINTER, pointer)
        if pointer[0] not in self._open:
            return sqlite.OK
        self._connections[pointer[0]] = db
        return int(self.code.sqlite3_exec(db, _OPTIONS, ffi.NULL, ffi.NULL, ffi.NULL))

    def _x_open(self, _vfs: Any, name: Any, pointer: Any, flags: int, out: Any) -> int:
        pointer.pMethods = ffi.NULL
        path = os.fsdecode(ffi.string(name)) if name != ffi.NULL else "(a temporary file)"
        if flags & sqlite.OPEN_MAIN_DB:
            # A missing file is an error, never an empty database.
            kind, file, flags = "database", self._meant(path, name), flags & ~sqlite.OPEN_CREATE
        elif flags & sqlite.OPEN_WAL:
            # Not by its path: an old connection may outlive its file, and another file may have its name by now.
            kind, file = "WAL", self._of_wal(self.code.sqlite3_database_file_object(name))
        else:
            log.error("refused to open %s (%#x): it would not be sealed", path, flags)
            return sqlite.CANTOPEN
        if file is None:
            log.error("refused to open %s: it was not registered, or is another file by now", path)
            return sqlite.CANTOPEN
        result = self._native.xOpen(self._native, name, pointer, flags, out)
        if result != sqlite.OK:
            return int(result)
        if kind == "database" and not _is_what_was_registered(file, pointer):
            pointer.pMethods.xClose(pointer)
            pointer.pMethods = ffi.NULL
            return sqlite.NOTADB
        self._open[pointer] = file
        pointer.pMethods = self._table(pointer.pMethods, kind)
        return sqlite.OK

    def _meant(self, path: str, name: Any) -> SealedFile | None:
        file, salt = self._registered.get(path), self.code.sqlite3_uri_parameter(name, SALT_PARAMETER.encode())
        if file is None or file.gone or salt == ffi.NULL:
            return None
        return file if ffi.string(salt) == file.keys.salt.hex().encode() else None

    def _of_wal(self, database: Any) -> SealedFile | None:
        file = self._open.get(database)
        if file is None or file.gone:
            return None
        # Only here can it be set: SQLite gives a new connection its default after `_x_connect`. The mutex of the
        # connection is held by this very thread.
        db = self._connections.get(database)
        if db is not None:
            self.code.sqlite3_wal_autocheckpoint(db, WAL_PAGES)
        return file

    def _table(self, native: Any, kind: str) -> Any:
        with self._lock:
            table = self.tables.get((native, kind))
            if table is None:
                handler = DatabaseFile(native) if kind == "database" else WalFile(native)
                table = self.tables[native, kind] = Table(native, handler, self._open, self._closed)
            return table.methods

    def _closed(self, pointer: Any) -> None:
        self._open.pop(pointer, None)
        self._connections.pop(pointer, None)

    def _leave(self) -> None:
        """Before the interpreter goes: Go's threads may still call, and get an error instead of a dying Python."""
        # This one returns something other than 0, touches nothing and needs no arguments.
        fail = ffi.addressof(self.code, "sqlite3_libversion_number")
        self._vfs.xOpen = ffi.cast("int(*)" + _OPEN[3:], fail)
        for table in list(self.tables.values()):
            table.fail_with(fail)
        self.code.sqlite3_cancel_auto_extension(self._extension)
        time.sleep(0.05)  # calls that are inside take the GIL and finish


def _is_what_was_registered(file: SealedFile, pointer: Any) -> bool:
    size, head = ffi.new("int64_t*"), ffi.new("char[16]")
    methods = pointer.pMethods
    if methods.xFileSize(pointer, size) == sqlite.OK and size[0] >= PAGE:
        methods.xRead(pointer, head, 16, 0)
        if bytes(ffi.buffer(head)) == file.keys.head:
            return True
    file.report("the file is empty, cut short or another one")
    return False
