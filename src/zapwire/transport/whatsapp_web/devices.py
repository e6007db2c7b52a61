"""A bot's auth database: where it lies, how the engine opens it, and whether it holds a device.

One SQLite file per bot, made and owned by the engine's store (whatsmeow, store/sqlstore). A file without a device row
is worthless: the engine would start a new pairing with it inside the daemon (docs/engine.md's E4).
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from zapwire.errors import StoreError
from zapwire.model import BotId, Identity

OPTIONS: Final = "_foreign_keys=on&_journal_mode=WAL&_synchronous=FULL&_cache_size=-256&_busy_timeout=5000"
"""go-sqlite3's options. WAL spares 812 fsyncs at the first login. FULL, because a lost commit after a power cut would
roll a Signal session back and make messages undecryptable. 256 KiB of cache per connection instead of 2 MiB.
"""

_TABLE: Final = "SELECT 1 FROM sqlite_master WHERE name = 'whatsmeow_device'"
_QUERY: Final = "SELECT jid, lid, push_name FROM whatsmeow_device LIMIT 1"
_CHECK: Final = """
import json, sqlite3, sys
uri, table, query = sys.argv[1:]
db = sqlite3.connect(uri, uri=True)
print(json.dumps(db.execute(query).fetchone() if db.execute(table).fetchone() else None))
db.close()
"""


@dataclass(frozen=True, slots=True)
class Device:
    """The linked device that an auth database holds."""

    identity: Identity


class DeviceFile:
    """The auth database of one bot."""

    def __init__(self, folder: Path, bot: BotId) -> None:
        self._folder = folder
        self.path = folder / f"{bot}.db"
        self._opened: tuple[int, int] | None = None

    @property
    def dsn(self) -> str:
        """What the engine pastes between `file:` and `?_foreign_keys=on` (docs/engine.md's E17); `_rest` takes in that
        tail.
        """
        return f"{quote(str(self.path))}?{OPTIONS}&_rest="

    def prepare(self) -> None:
        """Make the folder (0700) and an empty file (0600) if they are missing."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))

    def opened_by_engine(self) -> None:
        """From now on this process' engine has the file open, for ever (docs/engine.md's E8)."""
        self._opened = self._inode()

    def destroy(self) -> None:
        """Delete the auth state; no error when there is none."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    async def device(self) -> Device | None:
        """The linked device, or None when nothing is paired. The engine must not be running on the file.

        Raises `StoreError` when the file cannot be read: that is no reason to pair anew.
        """
        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        try:
            row = await self._read_outside() if self._inode() == self._opened else self._read_here()
        except (sqlite3.Error, ValueError) as error:
            message = f"the auth database {self.path} cannot be read ({error}): restore it, or log the bot out"
            raise StoreError(message) from error
        return None if row is None else Device(identity_of(*row))

    def _inode(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @property
    def _uri(self) -> str:
        return f"file:{quote(str(self.path))}?mode=rw"

    def _read_here(self) -> tuple[str, str | None, str] | None:
        connection = sqlite3.connect(self._uri, uri=True)
        try:
            exists = connection.execute(_TABLE).fetchone()
            row: tuple[str, str | None, str] | None = connection.execute(_QUERY).fetchone() if exists else None
        finally:
            connection.close()
        return row

    async def _read_outside(self) -> tuple[str, str | None, str] | None:
        # Two copies of SQLite in one process break each other's POSIX locks: once the engine has opened the file
        # here, only another process may look into it.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _CHECK, self._uri, _TABLE, _QUERY,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        output, errors = await process.communicate()
        if process.returncode != 0:
            message = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise sqlite3.DatabaseError(message)
        row = json.loads(output)
        return None if row is None else (row[0], row[1], row[2])


def identity_of(jid: str, lid: str | None, push_name: str | None) -> Identity:
    """An identity from the store's texts, `<digits>:<device>@s.whatsapp.net` and `<digits>:<device>@lid`."""
    phone = jid.partition("@")[0].partition(":")[0].partition(".")[0]
    hidden = (lid or "").partition("@")[0].partition(":")[0].partition(".")[0]
    return Identity(f"+{phone}" if phone else None, f"{hidden}@lid" if hidden else None, push_name or None)
