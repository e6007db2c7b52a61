"""What WhatsApp believes received, on disk before anything else is done with it.

WhatsApp acknowledges a message as soon as the engine's handler has passed it on (docs/engine.md's E11), and does not
say it again. So the callback's first act is one `write` to the bot's spool file. That is enough against the death of
this process, which the page cache survives; it takes microseconds, as nothing is synced. The commit in the database,
which is synced, follows some milliseconds later, and then the record counts for nothing. What a dead process left here
is read back at the bot's next start; what had been committed already is known by its identity and dropped there.

A file is `salt | record | record ...`, a record `4 bytes of length | sealed (code | protobuf)`, bound to its bot and
position. The key is derived from the master key and the salt.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Final

from zapwire.model.bots import BotId
from zapwire.runtime import durable_files, file_owner
from zapwire.vault.keys import Damaged, KeyRing, MasterKey, Subkeys

log = logging.getLogger(__name__)

SEGMENT: Final = 1 << 20
"""Bytes after which a new file is begun, so that one can go while messages keep coming."""
EMPTIED: Final = 1 << 16
"""Bytes from which a file is emptied as soon as nothing in it is needed."""
_PURPOSE: Final = b"zapwire spool v1"
_SALT: Final = 16
_LENGTH: Final = 4
_ASIDE: Final = ".damaged"
_BROKEN: Final = ".aside"
MOST_ASIDE: Final = 100
"""Events of one bot that are kept aside; the oldest go."""
LARGEST_ASIDE: Final = 16 << 20
"""Bytes that they may take together."""


class Segment:
    """One file."""

    def __init__(self, path: Path, bot: BotId, key: MasterKey) -> None:
        self.path = path
        self.pending = 0
        self.size = _SALT
        self.is_closed = False
        self._bot = bot
        self._records = 0
        salt = os.urandom(_SALT)
        self._subkeys = _subkeys(key, salt)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        _write(self._file, salt)

    @property
    def descriptor(self) -> int:
        """Of the open file."""
        return self._file

    def add(self, record: bytes) -> None:
        """Append a record. Raises OSError, having changed nothing."""
        sealed = self._subkeys.seal(record, _about(self._bot, self._records))
        framed = len(sealed).to_bytes(_LENGTH, "big") + sealed
        try:
            _write(self._file, framed)
        except OSError:
            self._cut(self.size)
            raise
        self._records += 1
        self.size += len(framed)
        self.pending += 1

    def empty(self) -> None:
        """Forget all records."""
        self._cut(_SALT)
        self._records, self.size = 0, _SALT

    def close(self) -> None:
        """Let the file be, or delete it when nothing in it is needed."""
        if not self.is_closed:
            os.close(self._file)
            self.is_closed = True
        if self.pending <= 0:
            self.path.unlink(missing_ok=True)

    def _cut(self, size: int) -> None:
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)


class Spool:
    """One bot's files. `add` is called on the engine's thread, `done` on the loop's."""

    def __init__(self, folder: Path, bot: BotId, ring: KeyRing) -> None:
        self._folder = folder
        self._bot = bot
        self._ring = ring
        self._lock = threading.Lock()
        self._segment: Segment | None = None
        self._fails = False
        self._damaged: set[Path] = set()

    def add(self, code: int, data: bytes) -> Segment | None:
        """Write an event down; give what is returned to `done`. None when the disk does not take it."""
        with self._lock:
            try:
                segment = self._current()
                segment.add(code.to_bytes(2, "big") + data)
            except OSError as error:
                if not self._fails:
                    log.error("bot %s: an incoming event cannot be written to the spool: %s", self._bot, error)  # noqa: TRY400
                self._fails = True
                return None
            self._fails = False
            return segment

    def done(self, segment: Segment) -> None:
        """One of the events in *segment* is stored elsewhere."""
        with self._lock:
            segment.pending -= 1
            if segment.pending > 0:
                return
            if segment is not self._segment:
                segment.close()
            elif segment.size > EMPTIED:
                segment.empty()

    def close(self) -> None:
        """End the file under way; it stays only when something in it is needed."""
        with self._lock:
            if self._segment is not None:
                self._segment.close()
                self._segment = None

    def left(self) -> list[Path]:
        """The files of former runs, in order; `close` first."""
        return sorted(self._folder.glob(f"{self._bot}.*.spool"), key=_number)

    def events(self, path: Path) -> list[tuple[int, bytes]]:
        """Code and protobuf of the events in one of these files. A last one that was not written whole is none."""
        events, closed = _read(path, self._bot, self._ring)
        if closed:
            log.error("bot %s: %d bytes of %s do not open: damaged, or sealed with another key; the file is kept",
                      self._bot, closed, path.name)  # fmt: skip
            self._damaged.add(path)
        return events

    def remove(self, path: Path) -> None:
        """Delete one of these files: all in it is stored. One of which a part did not open is kept aside."""
        if path in self._damaged:
            self._damaged.discard(path)
            path.rename(path.with_name(f"{path.stem}.{os.urandom(4).hex()}{_ASIDE}"))
        else:
            path.unlink(missing_ok=True)

    def put_aside(self, code: int, data: bytes) -> str:
        """Keep an event that our own code failed on, in a file of its own; returns its name. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max((_number(path) for path in self._put_aside()), default=0) + 1
        path = self._folder / f"{self._bot}.{number}{_BROKEN}"
        segment = Segment(path, self._bot, self._ring.sealing)
        try:
            segment.add(code.to_bytes(2, "big") + data)
        except OSError:
            segment.pending = 0
            raise
        finally:
            segment.close()
        self._prune_aside()
        return path.name

    def _put_aside(self) -> list[Path]:
        return sorted(self._folder.glob(f"{self._bot}.*{_BROKEN}"), key=_number)

    def _prune_aside(self) -> None:
        room = LARGEST_ASIDE
        for kept, path in enumerate(reversed(self._put_aside())):
            room -= path.stat().st_size
            if kept >= MOST_ASIDE or (room < 0 and kept):
                path.unlink(missing_ok=True)

    def destroy(self) -> None:
        """Delete everything."""
        with self._lock:
            if self._segment is not None:
                self._segment.pending = 0
                self._segment.close()
                self._segment = None
            for path in (*self.left(), *self._folder.glob(f"{self._bot}.*{_ASIDE}"), *self._put_aside()):
                path.unlink(missing_ok=True)

    def _current(self) -> Segment:
        old = self._segment
        if old is None or old.size >= SEGMENT:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            number = max((_number(path) for path in self.left()), default=0) + 1
            self._segment = Segment(self._folder / f"{self._bot}.{number}.spool", self._bot, self._ring.sealing)
            if old is not None:
                old.close()
            return self._segment
        return old


class Spools:
    """The spools of all bots, in one folder."""

    def __init__(self, folder: Path, ring: KeyRing) -> None:
        self._folder = folder.absolute()
        self._ring = ring
        self._spools: dict[BotId, Spool] = {}

    def of(self, bot: BotId) -> Spool:
        """The spool of *bot*, always the same one."""
        if bot not in self._spools:
            self._spools[bot] = Spool(self._folder, bot, self._ring)
        return self._spools[bot]

    def destroy(self, bot: BotId) -> None:
        """Delete everything of *bot*, and forget it."""
        self.of(bot).destroy()
        del self._spools[bot]


def left_in(folder: Path) -> list[Path]:
    """The files of all bots in *folder* that a dead process left, or in which events were put aside."""
    return sorted((*folder.glob("*.spool"), *folder.glob(f"*{_BROKEN}")))


def rekey(path: Path, ring: KeyRing) -> int:
    """Seal a file that a dead process left under the first of *ring*'s keys; returns how many records are in it.

    All of it or nothing, also in a crash. No daemon may run. Raises `Damaged` when a part of it does not open, and
    OSError.
    """
    bot = BotId(path.name.split(".")[0])
    events, closed = _read(path, bot, ring)
    if closed:
        message = f"{closed} bytes of it do not open"
        raise Damaged(message)
    if not events:
        return 0
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    segment = Segment(new, bot, ring.sealing)
    try:
        file_owner.like_before(segment.descriptor, path)
        for code, data in events:
            segment.add(code.to_bytes(2, "big") + data)
        os.fsync(segment.descriptor)
        new.replace(path)
    except BaseException:
        segment.pending = 0  # nobody needs a half
        raise
    finally:
        segment.close()
    durable_files.sync_folder(path)  # before the old key goes
    return len(events)


def _read(path: Path, bot: BotId, ring: KeyRing) -> tuple[list[tuple[int, bytes]], int]:
    """The events in a file, and how many bytes from the first one on that does not open."""
    content, events, place = path.read_bytes(), list[tuple[int, bytes]](), _SALT
    keys = [_subkeys(key, content[:_SALT]) for key in ring]
    while place + _LENGTH <= len(content):
        end = place + _LENGTH + int.from_bytes(content[place : place + _LENGTH], "big")
        if end > len(content):
            break
        record = _open(keys, content[place + _LENGTH : end], _about(bot, len(events)))
        if record is None:
            return events, len(content) - place
        events.append((int.from_bytes(record[:2], "big"), record[2:]))
        place = end
    return events, 0


def verify(path: Path, ring: KeyRing) -> str | None:
    """What is wrong with a file that a dead process left; None when all of it opens. Raises OSError."""
    _, closed = _read(path, BotId(path.name.split(".")[0]), ring)
    return f"{closed} bytes of it do not open" if closed else None


def _subkeys(key: MasterKey, salt: bytes) -> Subkeys:
    return Subkeys(key.derive(salt, _PURPOSE))


def _open(keys: list[Subkeys], sealed: bytes, about: bytes) -> bytes | None:
    for subkeys in keys:
        try:
            return subkeys.unseal(sealed, about)
        except Damaged:
            continue
    return None


def _about(bot: BotId, record: int) -> bytes:
    return f"{bot}\0{record}".encode()


def _number(path: Path) -> int:
    return int(path.name.split(".")[-2])


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
