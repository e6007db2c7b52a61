"""One daemon per sessions folder: a lock that says who holds it.

The lock is `flock(2)`, which the kernel lets go of when its holder dies; the text in the file is only for people, and
for commands that want to talk to the daemon that runs.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from zapwire.model.errors import StoreError
from zapwire.runtime import file_owner

NAME: Final = "zapwire.lock"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works in a sessions folder."""

    what: str
    """`daemon`, or the command that does."""
    pid: int
    since: str
    """ISO 8601, UTC."""
    url: str | None = None
    """Where the daemon's API is, once it is there."""

    def __str__(self) -> str:
        where = f", {self.url}" if self.url else ""
        return f"zapwire {self.what} (process {self.pid}, since {self.since}{where})"


class FolderLock:
    """The lock, held; made by `hold`. Raises `StoreError` when nothing can be written, as on a full disk."""

    def __init__(self, file: int, folder: Path, what: str) -> None:
        self._file = file
        self._folder = folder
        self._holder = Holder(what, os.getpid(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"))
        self._note(self._holder)

    def listening(self, url: str) -> None:
        """Note where the API is."""
        self._note(Holder(self._holder.what, self._holder.pid, self._holder.since, url))

    def _note(self, holder: Holder) -> None:
        text = json.dumps(asdict(holder)).encode()
        try:
            os.pwrite(self._file, text, 0)
            os.ftruncate(self._file, len(text))
        except OSError as error:
            raise StoreError(f"cannot write to the sessions folder {self._folder}: {error.strerror}") from error


@contextmanager
def hold(folder: Path, what: str = "daemon") -> Iterator[FolderLock]:
    """Hold the lock of the sessions folder *folder*. Raises `StoreError`, which says who has it."""
    path = folder / NAME
    try:
        file = file_owner.open_or_make(path)
    except OSError as error:
        raise StoreError(f"cannot use the sessions folder {folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(folder, _read(path)) from None
        yield FolderLock(file, folder, what)
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def holder(folder: Path) -> Holder | None:
    """Who holds the lock of *folder* now; None when nobody does."""
    path = folder / NAME
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # no such folder yet, or one that cannot be used: told by whoever uses it
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path) or Holder("process", 0, "?")
    finally:
        os.close(file)
    return None


def refuse_when_held(folder: Path) -> None:
    """Raises `StoreError` when somebody holds the lock now; makes nothing."""
    who = holder(folder)
    if who is not None:
        raise _in_use(folder, who)


def _in_use(folder: Path, who: Holder | None) -> StoreError:
    return StoreError(
        f"another {who or 'zapwire'} uses the folder {folder}: stop it, or name another one with --sessions-dir"
    )


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):  # just being written
        return None
