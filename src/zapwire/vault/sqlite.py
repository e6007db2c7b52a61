"""The SQLite inside the engine's library, over its exported C API: declarations, and a small connection.

Not Python's own `sqlite3`: two copies of SQLite in one process break each other's POSIX locks, and only this one has
the sealing VFS. cffi, because its callbacks cost a twentieth of those of ctypes on a thread that Python does not know.
All calls let go of the GIL, as none may hold both it and a mutex of SQLite.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

from cffi import FFI

OK: Final = 0
ERROR: Final = 1
CANTOPEN: Final = 14
NOTADB: Final = 26
ROW: Final = 100
DONE: Final = 101
IOERR_READ: Final = 266
IOERR_SHORT_READ: Final = 522
IOERR_WRITE: Final = 778
IOERR_DATA: Final = 8202
OPEN_CREATE: Final = 0x4
OPEN_MAIN_DB: Final = 0x100
OPEN_WAL: Final = 0x80000
_READWRITE_URI: Final = 0x2 | 0x40
_FULL_MUTEX: Final = 0x10000
_EXTENDED_CODES: Final = 0x2000000
"""Otherwise an error in reading the schema is just an I/O error."""
FCNTL_FILE_POINTER: Final = 7
_FCNTL_RESERVE_BYTES: Final = 38
_DBCONFIG_NO_CKPT_ON_CLOSE: Final = 1006
_CHECKPOINT_NOOP: Final = -1
_CHECKPOINT_TRUNCATE: Final = 3
_TRANSIENT: Final = -1
_BUSY_MS: Final = 5000

_DECLARATIONS: Final = """
typedef struct sqlite3 sqlite3; typedef struct sqlite3_stmt sqlite3_stmt;
typedef struct sqlite3_file { const struct sqlite3_io_methods *pMethods; } sqlite3_file;
typedef struct sqlite3_io_methods {
  int iVersion;
  int (*xClose)(sqlite3_file*);
  int (*xRead)(sqlite3_file*, void*, int, int64_t);
  int (*xWrite)(sqlite3_file*, const void*, int, int64_t);
  int (*xTruncate)(sqlite3_file*, int64_t);
  int (*xSync)(sqlite3_file*, int);
  int (*xFileSize)(sqlite3_file*, int64_t*);
  int (*xLock)(sqlite3_file*, int); int (*xUnlock)(sqlite3_file*, int);
  int (*xCheckReservedLock)(sqlite3_file*, int*);
  int (*xFileControl)(sqlite3_file*, int, void*);
  int (*xSectorSize)(sqlite3_file*); int (*xDeviceCharacteristics)(sqlite3_file*);
  int (*xShmMap)(sqlite3_file*, int, int, int, void**); int (*xShmLock)(sqlite3_file*, int, int, int);
  void (*xShmBarrier)(sqlite3_file*); int (*xShmUnmap)(sqlite3_file*, int);
  int (*xFetch)(sqlite3_file*, int64_t, int, void**); int (*xUnfetch)(sqlite3_file*, int64_t, void*);
} sqlite3_io_methods;
typedef struct sqlite3_vfs {
  int iVersion; int szOsFile; int mxPathname; struct sqlite3_vfs *pNext; const char *zName; void *pAppData;
  int (*xOpen)(struct sqlite3_vfs*, const char*, sqlite3_file*, int, int*);
  void *rest[15];
} sqlite3_vfs;
int sqlite3_initialize(void); int sqlite3_libversion_number(void);
sqlite3_vfs *sqlite3_vfs_find(const char*);
const char *sqlite3_uri_parameter(const char*, const char*); sqlite3_file *sqlite3_database_file_object(const char*);
int sqlite3_vfs_register(sqlite3_vfs*, int); int sqlite3_vfs_unregister(sqlite3_vfs*);
int sqlite3_auto_extension(void (*)(void)); int sqlite3_cancel_auto_extension(void (*)(void));
int sqlite3_open_v2(const char*, sqlite3**, int, const char*); int sqlite3_close_v2(sqlite3*);
int sqlite3_exec(sqlite3*, const char*, void*, void*, char**);
const char *sqlite3_errmsg(sqlite3*); int sqlite3_extended_errcode(sqlite3*); int sqlite3_busy_timeout(sqlite3*, int);
int sqlite3_db_config(sqlite3*, int, ...); int sqlite3_file_control(sqlite3*, const char*, int, void*);
int sqlite3_wal_autocheckpoint(sqlite3*, int);
int sqlite3_wal_checkpoint_v2(sqlite3*, const char*, int, int*, int*);
unsigned char *sqlite3_serialize(sqlite3*, const char*, int64_t*, unsigned); void sqlite3_free(void*);
int sqlite3_prepare_v2(sqlite3*, const char*, int, sqlite3_stmt**, const char**);
int sqlite3_step(sqlite3_stmt*); int sqlite3_finalize(sqlite3_stmt*);
int sqlite3_bind_int64(sqlite3_stmt*, int, int64_t); int sqlite3_bind_null(sqlite3_stmt*, int);
int sqlite3_bind_text(sqlite3_stmt*, int, const char*, int, void*);
int sqlite3_bind_blob(sqlite3_stmt*, int, const void*, int, void*);
int sqlite3_column_count(sqlite3_stmt*); int sqlite3_column_type(sqlite3_stmt*, int);
int64_t sqlite3_column_int64(sqlite3_stmt*, int); double sqlite3_column_double(sqlite3_stmt*, int);
const void *sqlite3_column_blob(sqlite3_stmt*, int); int sqlite3_column_bytes(sqlite3_stmt*, int);
"""
EXPORTS: Final = frozenset(re.findall(r"\b(sqlite3_\w+)\(", _DECLARATIONS))
"""All functions that the library has to export."""

ffi = FFI()
ffi.cdef(_DECLARATIONS)

Value = int | float | str | bytes | None


class SqliteError(Exception):
    """SQLite refused; `code` is its extended result code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{text} ({code})")
        self.code = code


def load(library: Path) -> Any:
    """The C functions of the SQLite in *library*, which the caller has loaded already.

    Raises AttributeError, at once or at the first use, for a function that the library does not export.
    """
    return ffi.dlopen(str(library))


class EngineConnection:
    """A connection for housekeeping: blocking, one thread at a time, no row factories."""

    def __init__(self, code: Any, path: str, options: str, *, create: bool = False) -> None:
        """Open *path* with these *options* of an SQLite URI, like `vfs=unix`. Raises `SqliteError`."""
        self._code = code
        pointer = ffi.new("sqlite3**")
        flags = _READWRITE_URI | _FULL_MUTEX | _EXTENDED_CODES | (OPEN_CREATE if create else 0)
        result = code.sqlite3_open_v2(f"file:{quote(path)}?{options}".encode(), pointer, flags, ffi.NULL)
        self._db = pointer[0]
        if result != OK:
            error = self._error()
            self.close()
            raise error
        code.sqlite3_busy_timeout(self._db, _BUSY_MS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, sql: str, *arguments: Value) -> list[tuple[Value, ...]]:
        """Run one statement; its rows. Raises `SqliteError`."""
        pointer = ffi.new("sqlite3_stmt**")
        self._check(self._code.sqlite3_prepare_v2(self._db, sql.encode(), -1, pointer, ffi.NULL))
        statement, rows = pointer[0], []
        try:
            for number, argument in enumerate(arguments, 1):
                self._bind(statement, number, argument)
            while (result := self._code.sqlite3_step(statement)) == ROW:
                count = self._code.sqlite3_column_count(statement)
                rows.append(tuple(self._column(statement, column) for column in range(count)))
            if result != DONE:
                raise self._error()
        finally:
            self._code.sqlite3_finalize(statement)
        return rows

    def frames(self) -> int:
        """How many frames of the WAL count; writes nothing."""
        return self._checkpoint(_CHECKPOINT_NOOP)

    def checkpoint(self) -> None:
        """Bring the WAL into the database file and empty it. Raises `SqliteError` when somebody is in the way."""
        self._checkpoint(_CHECKPOINT_TRUNCATE)

    def leave_the_wal(self) -> None:
        """Do not bring the WAL into the database file on closing."""
        on = ffi.cast("int", 1)
        self._check(self._code.sqlite3_db_config(self._db, _DBCONFIG_NO_CKPT_ON_CLOSE, on, ffi.cast("int*", 0)))

    def reserve(self, size: int) -> None:
        """Let the next VACUUM leave *size* bytes at the end of each page unused."""
        value = ffi.new("int*", size)
        self._check(self._code.sqlite3_file_control(self._db, b"main", _FCNTL_RESERVE_BYTES, value))

    def image(self) -> bytes:
        """The whole database as one committed state, as its file would be without sealing and without a WAL.

        Pages that cannot be read are zeros in it (`sqlite3_serialize`): the caller has to find out.
        """
        size = ffi.new("int64_t*")
        memory = self._code.sqlite3_serialize(self._db, b"main", size, 0)
        if memory == ffi.NULL:
            raise self._error()
        try:
            return bytes(ffi.buffer(memory, size[0]))
        finally:
            self._code.sqlite3_free(memory)

    def close(self) -> None:
        """Close it; more than once does no harm."""
        if self._db != ffi.NULL:
            self._code.sqlite3_close_v2(self._db)
            self._db = ffi.NULL

    def _checkpoint(self, mode: int) -> int:
        frames = ffi.new("int*")
        self._check(self._code.sqlite3_wal_checkpoint_v2(self._db, b"main", mode, frames, ffi.NULL))
        return int(frames[0])

    def _bind(self, statement: Any, number: int, value: Value) -> None:
        code, keep = self._code, ffi.cast("void*", _TRANSIENT)
        if value is None:
            code.sqlite3_bind_null(statement, number)
        elif isinstance(value, int):
            code.sqlite3_bind_int64(statement, number, value)
        elif isinstance(value, str):
            text = value.encode()
            code.sqlite3_bind_text(statement, number, text, len(text), keep)
        elif isinstance(value, bytes):
            code.sqlite3_bind_blob(statement, number, value, len(value), keep)
        else:
            message = f"cannot bind a {type(value).__name__}"
            raise TypeError(message)

    def _column(self, statement: Any, column: int) -> Value:
        code = self._code
        kind = code.sqlite3_column_type(statement, column)
        if kind == 1:
            return int(code.sqlite3_column_int64(statement, column))
        if kind == 2:
            return float(code.sqlite3_column_double(statement, column))
        if kind == 5:
            return None
        pointer = code.sqlite3_column_blob(statement, column)
        size = code.sqlite3_column_bytes(statement, column)
        raw = bytes(ffi.buffer(pointer, size)) if size else b""
        return raw.decode() if kind == 3 else raw

    def _check(self, result: int) -> None:
        if result != OK:
            raise self._error()

    def _error(self) -> SqliteError:
        if self._db == ffi.NULL:
            return SqliteError(7, "out of memory")
        text = bytes(ffi.string(self._code.sqlite3_errmsg(self._db))).decode(errors="replace")
        code = self._code.sqlite3_extended_errcode(self._db)
        return SqliteError(code, f"a part of it does not open: {text}" if code == IOERR_DATA else text)
