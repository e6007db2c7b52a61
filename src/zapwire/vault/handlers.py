"""Reads and writes of sealed files: what stands in SQLite's tables of file methods (`vfs.py`).

Called by SQLite on any thread. What does not authenticate is an I/O error and told to the file's owner; what has no
place in the layout of `pages.py` is not written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from zapwire.vault import sqlite
from zapwire.vault.keys import Damaged
from zapwire.vault.sealed_pages import EMPTY_DATABASE, FRAME, FRAME_HEADER, PAGE, WAL_HEADER, FileKeys, PageRefused
from zapwire.vault.sqlite import ffi

log = logging.getLogger(__name__)

_HEADER_TRIES: Final = 20
_HEADER_PAUSE: Final = 0.0005
_FIRST_HEADER: Final = bytes(EMPTY_DATABASE[:100])
_READ: Final = "int(sqlite3_file*, void*, int, int64_t)"
_WRITE: Final = "int(sqlite3_file*, const void*, int, int64_t)"
_CLOSE: Final = "int(sqlite3_file*)"


@dataclass(eq=False, slots=True)
class SealedFile:
    """What the VFS knows of a registered file."""

    path: str
    keys: FileKeys
    on_damage: Callable[[str], None] = field(default=lambda _what: None)
    """Told per thing that does not open; called on any thread, must not block."""
    torn: bool = False
    """Page 1 is to be had from the WAL only (`database.py` mends that)."""
    failures: int = 0
    """How many reads have failed."""
    gone: bool = False
    """The file was destroyed: connections that outlive it must not bring anything of it back."""

    def report(self, what: str) -> None:
        """Say that *what* is wrong with the file."""
        log.critical("%s: %s: wrong key, or damaged", self.path, what)
        self.on_damage(what)


class Table:
    """SQLite's table of file methods with ours in it."""

    def __init__(
        self,
        native: Any,
        handler: DatabaseFile | WalFile,
        files: dict[Any, SealedFile],
        closed: Callable[[Any], None],
    ) -> None:
        self._native, self.handler = native, handler
        close = native.xClose

        def x_read(pointer: Any, target: Any, size: int, offset: int) -> int:
            file = files[pointer]
            result = sqlite.IOERR_READ if file.gone else handler.read(file, pointer, target, size, offset)
            if result != sqlite.OK:
                file.failures += 1
            return result

        def x_write(pointer: Any, source: Any, size: int, offset: int) -> int:
            file = files[pointer]
            if file.gone:
                return sqlite.IOERR_WRITE
            try:
                return handler.write(file, pointer, source, size, offset)
            except PageRefused as error:
                log.error("refused to write %s: %s", file.path, error)  # noqa: TRY400 - no news in the traceback
                return sqlite.IOERR_WRITE

        def x_close(pointer: Any) -> int:
            closed(pointer)
            return int(close(pointer))

        methods = self.methods = ffi.new("sqlite3_io_methods*")
        # Only the fields that this version has; version 2 has no xFetch: ciphertext must not be mapped into memory.
        version = min(2, native.iVersion)
        ffi.memmove(methods, native, ffi.offsetof("sqlite3_io_methods", "xFetch" if version == 2 else "xShmMap"))
        methods.iVersion = version
        self._kept = (
            ffi.callback(_READ, x_read, error=sqlite.IOERR_READ),
            ffi.callback(_WRITE, x_write, error=sqlite.IOERR_WRITE),
            ffi.callback(_CLOSE, x_close, error=sqlite.ERROR),
        )
        methods.xRead, methods.xWrite, methods.xClose = self._kept

    def fail_with(self, function: Any) -> None:
        """Let *function*, which needs no Python, answer all reads and writes."""
        self.methods.xRead = ffi.cast("int(*)" + _READ[3:], function)
        self.methods.xWrite = ffi.cast("int(*)" + _WRITE[3:], function)
        self.methods.xClose = self._native.xClose


class DatabaseFile:
    """Reads and writes of database files."""

    def __init__(self, native: Any) -> None:
        self._read, self._write, self._size = native.xRead, native.xWrite, native.xFileSize

    def read(self, file: SealedFile, pointer: Any, target: Any, size: int, offset: int) -> int:
        """A page, or a part of one: the header, the change counter."""
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
            if result == sqlite.IOERR_SHORT_READ:
                break  # SQLite would take what is missing for zeros
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
        file.report(f"page {offset // PAGE + 1} does not open")
        return sqlite.IOERR_DATA if offset else sqlite.NOTADB

    def write(self, file: SealedFile, pointer: Any, source: Any, size: int, offset: int) -> int:
        """A page. Raises `PageRefused`."""
        if size != PAGE or offset % PAGE:
            message = f"{size} bytes at {offset} of the database"
            raise PageRefused(message)
        sealed = file.keys.seal_page(offset, memoryview(ffi.buffer(source, PAGE)))
        result = self._fill(file, pointer, offset)
        return result or int(self._write(pointer, ffi.from_buffer(sealed), PAGE, offset))

    def _fill(self, file: SealedFile, pointer: Any, offset: int) -> int:
        """Seal the pages between the end of the file and *offset*: zeros on the disk are never taken for a page."""
        size = ffi.new("int64_t*")
        result = int(self._size(pointer, size))
        if result == sqlite.OK and size[0] < PAGE:
            file.report("the file was emptied")
            return sqlite.IOERR_WRITE
        hole = size[0] - size[0] % PAGE
        while result == sqlite.OK and hole < offset:
            sealed = file.keys.seal_page(hole, bytes(PAGE))
            result = int(self._write(pointer, ffi.from_buffer(sealed), PAGE, hole))
            hole += PAGE
        return result


class WalFile:
    """Reads and writes of WAL files: the file header, frame headers, pages in frames, and whole frames."""

    def __init__(self, native: Any) -> None:
        self._read, self._write = native.xRead, native.xWrite

    def read(self, file: SealedFile, pointer: Any, target: Any, size: int, offset: int) -> int:
        """One of these four, or a part of a header."""
        within = (offset - WAL_HEADER) % FRAME
        if offset + size <= WAL_HEADER:
            return int(self._read(pointer, target, size, offset))
        if within + size <= FRAME_HEADER:
            header = ffi.new("char[]", FRAME_HEADER)
            result = int(self._read(pointer, header, FRAME_HEADER, offset - within))
            plain = file.keys.open_frame_header(offset - within, bytes(ffi.buffer(header)))
            ffi.memmove(target, plain[within : within + size], size)
            return result
        if not (within == FRAME_HEADER and size == PAGE) and not (within == 0 and size == FRAME):
            log.error("refused to read %d bytes at %d of the WAL of %s", size, offset, file.path)
            return sqlite.IOERR_READ
        result = int(self._read(pointer, target, size, offset))
        if result != sqlite.OK:
            return result
        raw = ffi.buffer(target, size)
        return self._whole(file, pointer, raw, offset) if size == FRAME else self._page(file, raw, offset)

    def _page(self, file: SealedFile, raw: Any, offset: int) -> int:
        try:
            raw[:] = file.keys.open_frame(offset, memoryview(raw))
        except Damaged:
            raw[:] = bytes(PAGE)
            file.report(f"frame {(offset - WAL_HEADER) // FRAME + 1} of the WAL does not open")
            return sqlite.IOERR_DATA
        return sqlite.OK

    def _whole(self, file: SealedFile, pointer: Any, raw: Any, offset: int) -> int:
        """SQLite recovers the WAL with reads of whole frames; one of zeros ends it, as a torn one always did."""
        header = file.keys.open_frame_header(offset, bytes(raw[:FRAME_HEADER]))
        try:
            page = file.keys.open_frame(offset + FRAME_HEADER, memoryview(raw)[FRAME_HEADER:])
        except Damaged:
            raw[:] = bytes(FRAME)
            self._mourn(file, pointer, header, offset)
        else:
            raw[:] = header + page
        return sqlite.OK

    def _mourn(self, file: SealedFile, pointer: Any, header: bytes, offset: int) -> None:
        """Say that the log ends at a frame that belongs to it: SQLite keeps quiet about that."""
        first = ffi.new("char[]", WAL_HEADER)
        self._read(pointer, first, WAL_HEADER, 0)
        if header[8:16] == bytes(ffi.buffer(first))[16:24]:  # its salts, which an older or a foreign frame has not
            number = (offset - WAL_HEADER) // FRAME + 1
            log.warning("%s: the WAL ends at frame %d: torn by a crash, or changed", file.path, number)

    def write(self, file: SealedFile, pointer: Any, source: Any, size: int, offset: int) -> int:
        """The file header, a frame header, or the page of a frame. Raises `PageRefused`."""
        within = (offset - WAL_HEADER) % FRAME
        plain = bytes(ffi.buffer(source, size))
        if offset == 0 and size == WAL_HEADER and plain[8:12] == PAGE.to_bytes(4, "big"):
            sealed = plain
        elif within == 0 and size == FRAME_HEADER:
            sealed = file.keys.seal_frame_header(offset, plain)
        elif within == FRAME_HEADER:
            sealed = file.keys.seal_frame(offset, plain)
        else:
            message = f"{size} bytes at {offset} of the WAL"
            raise PageRefused(message)
        return int(self._write(pointer, ffi.from_buffer(sealed), size, offset))
