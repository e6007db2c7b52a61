"""An SQLite VFS that seals: registered as `sealed` inside the engine's own SQLite, on top of `unix-excl`.

Only `xOpen`, `xRead`, `xWrite` and `xClose` are Python; locks, syncs, truncates and the wal-index stay native.
`unix-excl` keeps the wal-index in memory (a `-shm` file would hold checksums of plaintext) and keeps other processes
out. What is not understood is refused, never passed through in the clear: files that were not registered, temporary
files, journals, other page sizes. Reading what does not authenticate is an I/O error and reported to the file's owner.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from zapwire.vault import sqlite
from zapwire.vault.keys import Damaged
from zapwire.vault.pages import EMPTY_DATABASE, FRAME, FRAME_HEADER, PAGE, WAL_HEADER, FileKeys, Refused
from zapwire.vault.sqlite import ffi

log = logging.getLogger(__name__)

NAME: Final = "sealed"
BASE: Final = "unix-excl"
WAL_PAGES: Final = 256
"""After how many pages in the WAL a commit brings them into the database file: 1 MiB per bot instead of 4."""
_HEADER_TRIES: Final = 20
_HEADER_PAUSE: Final = 0.0005
_FIRST_HEADER: Final = bytes(EMPTY_DATABASE[:100])
_READ: Final = "int(sqlite3_file*, void*, int, int64_t)"
_WRITE: Final = "int(sqlite3_file*, const void*, int, int64_t)"
_CLOSE: Final = "int(sqlite3_file*)"
_OPEN: Final = "int(sqlite3_vfs*, const char*, sqlite3_file*, int, int*)"
_CONNECT: Final = "int(sqlite3*, char**, void*)"
_OPTIONS: Final = b"PRAGMA temp_store=2; PRAGMA journal_size_limit=%d" % (WAL_PAGES * FRAME)
"""Temporary tables, sorts and statement journals stay in memory: never a temporary file."""


class VaultUnavailable(Exception):
    """This SQLite cannot be made to seal."""


@dataclass(eq=False, slots=True)
class SealedFile:
    """What the VFS knows of a registered file."""

    path: str
    keys: FileKeys
    on_damage: Callable[[str], None] = field(default=lambda _what: None)
    """Told once per thing that does not open; called on any thread, must not block."""
    torn: bool = False
    """Page 1 is to be had from the WAL only (`files.py` mends that)."""


class Vfs:
    """The registered VFS; one per process and library. Registering cannot be undone while files are open."""

    def __init__(self, code: Any, name: str = NAME, base: str = BASE) -> None:
        """Register it in *code*, a library from `sqlite.load`. Raises `VaultUnavailable`."""
        self.name = name
        self._code = code
        self._registered: dict[str, SealedFile] = {}
        self._open: dict[Any, SealedFile] = {}
        self._tables: dict[tuple[Any, str], _Table] = {}
        self._lock = threading.Lock()
        try:
            code.sqlite3_initialize()
            self._native = code.sqlite3_vfs_find(base.encode())
        except AttributeError as error:
            message = "the engine's library does not export SQLite's functions"
            raise VaultUnavailable(message) from error
        if self._native == ffi.NULL:
            message = f"the engine's SQLite has no VFS {base}"
            raise VaultUnavailable(message)
        self._register()
        atexit.register(self._leave)

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

    def _register(self) -> None:
        self._name = ffi.new("char[]", self.name.encode())
        vfs = self._vfs = ffi.new("sqlite3_vfs*")
        ffi.memmove(vfs, self._native, ffi.sizeof("sqlite3_vfs"))
        vfs.iVersion = min(3, self._native.iVersion)
        vfs.zName, vfs.pNext = self._name, ffi.NULL
        self._on_open = ffi.callback(_OPEN, self._x_open, error=sqlite.CANTOPEN)
        vfs.xOpen = self._on_open
        self._on_connect = ffi.callback(_CONNECT, self._x_connect, error=sqlite.ERROR)
        self._extension = ffi.cast("void(*)(void)", self._on_connect)
        if self._code.sqlite3_auto_extension(self._extension) or self._code.sqlite3_vfs_register(vfs, 0):
            message = "the engine's SQLite does not take another VFS"
            raise VaultUnavailable(message)

    def _x_connect(self, db: Any, _error: Any, _api: Any) -> int:
        self._code.sqlite3_wal_autocheckpoint(db, WAL_PAGES)
        return int(self._code.sqlite3_exec(db, _OPTIONS, ffi.NULL, ffi.NULL, ffi.NULL))

    def _x_open(self, _vfs: Any, name: Any, pointer: Any, flags: int, out: Any) -> int:
        pointer.pMethods = ffi.NULL
        path = os.fsdecode(ffi.string(name)) if name != ffi.NULL else "(a temporary file)"
        if flags & sqlite.OPEN_MAIN_DB:
            # A missing file is an error, never an empty database.
            kind, file, flags = "database", self._registered.get(path), flags & ~sqlite.OPEN_CREATE
        elif flags & sqlite.OPEN_WAL:
            kind, file = "WAL", self._registered.get(path.removesuffix("-wal"))
        else:
            log.error("refused to open %s (%#x): it would not be sealed", path, flags)
            return sqlite.CANTOPEN
        if file is None:
            log.error("refused to open %s: it was not registered", path)
            return sqlite.CANTOPEN
        result = self._native.xOpen(self._native, name, pointer, flags, out)
        if result != sqlite.OK:
            return int(result)
        if kind == "database" and not self._is_what_was_registered(file, pointer):
            pointer.pMethods.xClose(pointer)
            pointer.pMethods = ffi.NULL
            return sqlite.NOTADB
        self._open[pointer] = file
        pointer.pMethods = self._table(pointer.pMethods, kind)
        return sqlite.OK

    def _is_what_was_registered(self, file: SealedFile, pointer: Any) -> bool:
        size, head = ffi.new("int64_t*"), ffi.new("char[16]")
        methods = pointer.pMethods
        if methods.xFileSize(pointer, size) == sqlite.OK and size[0] >= PAGE:
            methods.xRead(pointer, head, 16, 0)
            if bytes(ffi.buffer(head))[4:] == file.keys.salt:
                return True
        log.error("refused to open %s: it is empty, cut short or not the file that was registered", file.path)
        file.on_damage("the file is empty, cut short or another one")
        return False

    def _table(self, native: Any, kind: str) -> Any:
        with self._lock:
            table = self._tables.get((native, kind))
            if table is None:
                handler = _DatabaseFile if kind == "database" else _WalFile
                table = self._tables[native, kind] = _Table(native, handler(native, self._open), self._open)
            return table.methods

    def _leave(self) -> None:
        """Before the interpreter goes: Go's threads may still call, and get an error instead of a dying Python."""
        # This one returns something other than 0, touches nothing and needs no arguments.
        fail = ffi.addressof(self._code, "sqlite3_libversion_number")
        for table in self._tables.values():
            table.fail_with(fail)
        self._vfs.xOpen = ffi.cast("int(*)" + _OPEN[3:], fail)
        self._code.sqlite3_cancel_auto_extension(self._extension)
        time.sleep(0.05)  # calls that are inside take the GIL and finish


class _Table:
    """SQLite's table of file methods with ours in it."""

    def __init__(self, native: Any, handler: _DatabaseFile | _WalFile, files: dict[Any, SealedFile]) -> None:
        self._native = native
        close = native.xClose

        def x_close(pointer: Any) -> int:
            files.pop(pointer, None)
            return int(close(pointer))

        methods = self.methods = ffi.new("sqlite3_io_methods*")
        # Only the fields that this version has; version 2 has no xFetch: ciphertext must not be mapped into memory.
        methods.iVersion = version = min(2, native.iVersion)
        ffi.memmove(methods, native, ffi.offsetof("sqlite3_io_methods", "xFetch" if version == 2 else "xShmMap"))
        methods.iVersion = version
        self._kept = (
            ffi.callback(_READ, handler.read, error=sqlite.IOERR_READ),
            ffi.callback(_WRITE, handler.write, error=sqlite.IOERR_WRITE),
            ffi.callback(_CLOSE, x_close, error=sqlite.ERROR),
        )
        methods.xRead, methods.xWrite, methods.xClose = self._kept

    def fail_with(self, function: Any) -> None:
        self.methods.xRead = ffi.cast("int(*)" + _READ[3:], function)
        self.methods.xWrite = ffi.cast("int(*)" + _WRITE[3:], function)
        self.methods.xClose = self._native.xClose


class _DatabaseFile:
    """Reads and writes of database files."""

    def __init__(self, native: Any, files: dict[Any, SealedFile]) -> None:
        self._read, self._write, self._size = native.xRead, native.xWrite, native.xFileSize
        self._files = files

    def read(self, pointer: Any, target: Any, size: int, offset: int) -> int:
        file = self._files[pointer]
        if size == PAGE and offset % PAGE == 0:
            return self._page(file, pointer, target, offset)
        if file.torn and offset == 0 and size == len(_FIRST_HEADER):
            ffi.memmove(target, _FIRST_HEADER, size)  # SQLite looks at the header on opening; the WAL has the real one
            return sqlite.OK
        start = offset % PAGE
        if start + size > PAGE:
            return sqlite.IOERR_READ
        page = ffi.new("char[]", PAGE)
        result = self._page(file, pointer, page, offset - start)
        ffi.memmove(target, page + start, size)
        return result

    def _page(self, file: SealedFile, pointer: Any, target: Any, offset: int) -> int:
        # SQLite reads the header without a lock, and may meet a checkpoint that is just writing it.
        for _ in range(1 if offset else _HEADER_TRIES):
            result = int(self._read(pointer, target, PAGE, offset))
            if result != sqlite.OK:
                return result
            raw = ffi.buffer(target, PAGE)
            try:
                raw[:] = file.keys.open_page(offset, memoryview(raw))
            except Damaged:
                time.sleep(0 if offset else _HEADER_PAUSE)
                continue
            return sqlite.OK
        ffi.memmove(target, bytes(PAGE), PAGE)
        _report(file, f"page {offset // PAGE + 1} does not open")
        return sqlite.IOERR_DATA if offset else sqlite.NOTADB

    def write(self, pointer: Any, source: Any, size: int, offset: int) -> int:
        file = self._files[pointer]
        if size != PAGE or offset % PAGE:
            log.error("refused to write %d bytes at %d of %s", size, offset, file.path)
            return sqlite.IOERR_WRITE
        try:
            sealed = file.keys.seal_page(offset, memoryview(ffi.buffer(source, PAGE)))
        except Refused as error:
            log.error("refused to write %s: %s", file.path, error)  # noqa: TRY400 - no news in the traceback
            return sqlite.IOERR_WRITE
        result = self._fill(file, pointer, offset)
        return result or int(self._write(pointer, ffi.from_buffer(sealed), PAGE, offset))

    def _fill(self, file: SealedFile, pointer: Any, offset: int) -> int:
        """Seal the pages between the end of the file and *offset*: zeros on the disk are never taken for a page."""
        size = ffi.new("int64_t*")
        result = int(self._size(pointer, size))
        hole = size[0] - size[0] % PAGE
        while result == sqlite.OK and hole < offset:
            sealed = file.keys.seal_page(hole, bytes(PAGE) if hole else bytes(EMPTY_DATABASE))
            result = int(self._write(pointer, ffi.from_buffer(sealed), PAGE, hole))
            hole += PAGE
        return result


class _WalFile:
    """Reads and writes of WAL files: the file header, frame headers, pages in frames, and whole frames."""

    def __init__(self, native: Any, files: dict[Any, SealedFile]) -> None:
        self._read, self._write = native.xRead, native.xWrite
        self._files = files

    def read(self, pointer: Any, target: Any, size: int, offset: int) -> int:
        within = (offset - WAL_HEADER) % FRAME
        if offset + size <= WAL_HEADER:
            return int(self._read(pointer, target, size, offset))
        if within + size <= FRAME_HEADER:
            return self._part_of_header(pointer, target, size, offset - within, within)
        if not (within == FRAME_HEADER and size == PAGE) and not (within == 0 and size == FRAME):
            log.error("refused to read %d bytes at %d of a WAL", size, offset)
            return sqlite.IOERR_READ
        result = int(self._read(pointer, target, size, offset))
        if result != sqlite.OK:
            return result
        raw, keys = ffi.buffer(target, size), self._files[pointer].keys
        return self._whole(raw, keys, offset) if size == FRAME else self._page(raw, self._files[pointer], offset)

    def _part_of_header(self, pointer: Any, target: Any, size: int, offset: int, within: int) -> int:
        header = ffi.new("char[]", FRAME_HEADER)
        result = int(self._read(pointer, header, FRAME_HEADER, offset))
        plain = self._files[pointer].keys.open_frame_header(offset, bytes(ffi.buffer(header)))
        ffi.memmove(target, plain[within : within + size], size)
        return result

    def _page(self, raw: Any, file: SealedFile, offset: int) -> int:
        try:
            raw[:] = file.keys.open_frame(offset, memoryview(raw))
        except Damaged:
            raw[:] = bytes(PAGE)
            _report(file, f"frame {(offset - WAL_HEADER) // FRAME + 1} of the WAL does not open")
            return sqlite.IOERR_DATA
        return sqlite.OK

    def _whole(self, raw: Any, keys: FileKeys, offset: int) -> int:
        """SQLite recovers the WAL with reads of whole frames; one of zeros ends it, as a torn one always did."""
        try:
            page = keys.open_frame(offset + FRAME_HEADER, memoryview(raw)[FRAME_HEADER:])
        except Damaged:
            raw[:] = bytes(FRAME)
        else:
            raw[:] = keys.open_frame_header(offset, bytes(raw[:FRAME_HEADER])) + page
        return sqlite.OK

    def write(self, pointer: Any, source: Any, size: int, offset: int) -> int:
        file = self._files[pointer]
        within = (offset - WAL_HEADER) % FRAME
        plain = bytes(ffi.buffer(source, size))
        try:
            if offset == 0 and size == WAL_HEADER and plain[8:12] == PAGE.to_bytes(4, "big"):
                sealed = plain
            elif within == 0 and size == FRAME_HEADER:
                sealed = file.keys.seal_frame_header(offset, plain)
            elif within == FRAME_HEADER:
                sealed = file.keys.seal_frame(offset, plain)
            else:
                message = f"{size} bytes at {offset} of the WAL"
                raise Refused(message)
        except Refused as error:
            log.error("refused to write %s: %s", file.path, error)  # noqa: TRY400 - no news in the traceback
            return sqlite.IOERR_WRITE
        return int(self._write(pointer, ffi.from_buffer(sealed), size, offset))


def _report(file: SealedFile, what: str) -> None:
    log.critical("%s: %s: wrong key, or damaged", file.path, what)
    file.on_damage(what)
