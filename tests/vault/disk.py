"""A disk that can lose its power: records what SQLite does to a database and its WAL, and builds what may be left.

What was written since the last sync of a file may be there, be missing, be there out of order, or be torn at 512 bytes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, Self

from zapwire.vault.handlers import DatabaseFile
from zapwire.vault.sqlite import ffi
from zapwire.vault.vfs import Vfs

SECTOR = 512


@dataclass(frozen=True)
class Write:
    file: str
    offset: int
    data: bytes

    def apply(self, content: bytearray) -> None:
        end = self.offset + len(self.data)
        content.extend(bytes(max(0, end - len(content))))
        content[self.offset : end] = self.data

    def torn(self, chance: random.Random) -> list[Write]:
        """About half of its sectors."""
        parts, start = [], self.offset
        while start < self.offset + len(self.data):
            end = min((start // SECTOR + 1) * SECTOR, self.offset + len(self.data))
            if chance.random() < 0.5:
                parts.append(Write(self.file, start, self.data[start - self.offset : end - self.offset]))
            start = end
        return parts


@dataclass(frozen=True)
class Truncate:
    file: str
    size: int

    def apply(self, content: bytearray) -> None:
        del content[self.size :]
        content.extend(bytes(self.size - len(content)))

    def torn(self, _chance: random.Random) -> list[Write]:
        return []


@dataclass(frozen=True)
class Sync:
    file: str


@dataclass(frozen=True)
class Acknowledged:
    """Everything up to this number had been committed when the program went on."""

    number: int


@dataclass
class Recorder:
    """`with Recorder(vfs) as disk:` records the natives below the VFS, of all files that are open then."""

    vfs: Vfs
    log: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._kept: list[Any] = []
        for table in self.vfs.tables.values():
            handler, methods = table.handler, table.methods
            kind = "database" if isinstance(handler, DatabaseFile) else "wal"
            self._kept.append((handler, handler._write, methods, methods.xTruncate, methods.xSync))
            handler._write = self._write(kind, handler._write)
            truncate = ffi.callback("int(sqlite3_file*, int64_t)", self._truncate(kind, methods.xTruncate), error=10)
            sync = ffi.callback("int(sqlite3_file*, int)", self._sync(kind, methods.xSync), error=10)
            self._kept.append((truncate, sync))
            methods.xTruncate, methods.xSync = truncate, sync
        return self

    def __exit__(self, *_: object) -> None:
        for handler, write, methods, truncate, sync in (kept for kept in self._kept if len(kept) == 5):
            handler._write, methods.xTruncate, methods.xSync = write, truncate, sync

    def acknowledge(self, number: int) -> None:
        self.log.append(Acknowledged(number))

    def _write(self, kind: str, native: Any) -> Any:
        def write(pointer: Any, data: Any, size: int, offset: int) -> int:
            self.log.append(Write(kind, offset, bytes(ffi.buffer(data, size))))
            return int(native(pointer, data, size, offset))

        return write

    def _truncate(self, kind: str, native: Any) -> Any:
        def truncate(pointer: Any, size: int) -> int:
            self.log.append(Truncate(kind, size))
            return int(native(pointer, size))

        return truncate

    def _sync(self, kind: str, native: Any) -> Any:
        def sync(pointer: Any, flags: int) -> int:
            self.log.append(Sync(kind))
            return int(native(pointer, flags))

        return sync


def after_power_loss(
    log: list[Any], start: bytes, chance: random.Random, *, syncs_work: bool = True
) -> tuple[bytes, bytes, int]:
    """Database and WAL as they may be after a power cut at some moment, and what had been acknowledged by then."""
    content = {"database": bytearray(start), "wal": bytearray()}
    pending: dict[str, list[Any]] = {"database": [], "wal": []}
    acknowledged = 0
    for entry in log[: _moment(log, chance)]:
        match entry:
            case Acknowledged():
                acknowledged = entry.number
            case Sync() if syncs_work:
                for change in pending[entry.file]:
                    change.apply(content[entry.file])
                pending[entry.file].clear()
            case Write() | Truncate():
                pending[entry.file].append(entry)
    for name, changes in pending.items():
        for change in _survivors(changes, chance):
            change.apply(content[name])
    return bytes(content["database"]), bytes(content["wal"]), acknowledged


def _moment(log: list[Any], chance: random.Random) -> int:
    """Any; every third one is amid the worst, a checkpoint that has just written page 1."""
    if chance.random() < 0.67:
        return chance.randrange(1, len(log))
    first_pages = [at for at, entry in enumerate(log) if entry.__class__ is Write and entry.file == "database"]
    return chance.choice([at for at in first_pages if log[at].offset == 0]) + chance.randrange(1, 4)


def _survivors(changes: list[Any], chance: random.Random) -> list[Any]:
    match chance.choice(["none", "all", "first", "some"]):
        case "none":
            return []
        case "all":
            return changes
        case "first":
            count = chance.randrange(len(changes) + 1)
            return changes[:count] + (changes[count].torn(chance) if count < len(changes) else [])
    kept = []
    for change in changes:
        dice = chance.random()
        kept += [change] if dice < 0.4 else change.torn(chance) if dice < 0.6 else []
    return kept
