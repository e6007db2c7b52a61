"""An auth database in the clear, for `auth_state = "plain"`."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from zapwire.model.bots import BotId
from zapwire.model.errors import Blocked, Condition
from zapwire.runtime.child_environment import for_children
from zapwire.runtime.file_threads import in_file_thread
from zapwire.transport.whatsapp_web.auth.auth_file import (
    OPTIONS,
    QUERY,
    REST,
    TABLE,
    Device,
    foreign,
    no_state,
    occupied,
    read_device,
    unusable,
)
from zapwire.transport.whatsapp_web.engine.engine import library_path
from zapwire.vault import sealed_files, sqlite, upgrade
from zapwire.vault.sealed_files import is_sealed_database
from zapwire.vault.sealed_pages import is_plain

_SEALED: Final = 'the auth state is sealed, but auth_state is "plain"'
_NEIGHBOURS: Final = ("-wal", "-shm", "-journal")
_CHECK: Final = """
import json, sqlite3, sys
uri, table, query = sys.argv[1:]
db = sqlite3.connect(uri, uri=True)
print(json.dumps(db.execute(query).fetchone() if db.execute(table).fetchone() else None))
db.close()
"""


class PlainAuthFile:
    """Implements `devices.AuthFile`."""

    def __init__(self, folder: Path, bot: BotId) -> None:
        self._folder = folder
        self.path = folder / f"{bot}.db"
        self._opened: tuple[int, int] | None = None

    @property
    def dsn(self) -> str:
        """See `AuthFile.dsn`. WAL spares 812 fsyncs at the first login."""
        return f"{quote(str(self.path))}?{OPTIONS}&_journal_mode=WAL&{REST}"

    async def prepare(self) -> None:
        """See `AuthFile.prepare`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))

    async def bind(self) -> None:
        """See `AuthFile.bind`: what is kept in the clear cannot be bound."""

    async def copy(self) -> bytes:
        """See `AuthFile.copy`."""
        try:
            return await in_file_thread(upgrade.plain_image, sqlite.load(library_path()), self.path)
        except sqlite.SqliteError as error:
            raise unusable(str(error)) from error

    async def put(self, copy: bytes) -> None:
        """See `AuthFile.put`."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.path.exists():
            raise occupied(self.path)
        if not is_plain(copy):
            raise no_state()
        for suffix in _NEIGHBOURS:  # SQLite would take an old log for this file's
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        try:
            await in_file_thread(sealed_files.write_plain, self.path, copy)
        except OSError as error:
            raise unusable(str(error)) from error

    def for_child(self) -> dict[str, Any]:
        """See `AuthFile.for_child`."""
        return {"dsn": self.dsn}

    def opened_by_engine(self, on_damage: Callable[[Blocked], None]) -> None:  # noqa: ARG002 - nothing watches a plain one
        """See `AuthFile.opened_by_engine`."""
        self._opened = self._inode()

    async def destroy(self) -> None:
        """See `AuthFile.destroy`."""
        if self._inode() != self._opened and is_sealed_database(self.path):  # made under another setting
            await in_file_thread(sealed_files.destroy, self.path)
        for suffix in ("", *_NEIGHBOURS, ".lock", ".new", ".plain"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)

    async def device(self) -> Device | None:
        """See `AuthFile.device`."""
        if self.path.is_symlink():
            raise foreign(self.path, "it is a link to another file")
        if not self.path.exists() or self.path.stat().st_size == 0:
            return None
        in_engine = self._inode() == self._opened
        if not in_engine and is_sealed_database(self.path):
            action = 'Set auth_state to "sealed" again and restart the daemon; or log the bot out and pair it again.'
            raise Blocked(_SEALED, action=action, condition=Condition.AUTH_DAMAGED)
        try:
            row = await self._read_outside() if in_engine else self._read_here()
        except (sqlite3.Error, ValueError) as error:
            raise unusable(str(error)) from error
        return read_device(row)

    def _inode(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @property
    def _uri(self) -> str:
        return f"file:{quote(str(self.path))}?mode=rw"

    def _read_here(self) -> tuple[Any, ...] | None:
        connection = sqlite3.connect(self._uri, uri=True)
        try:
            exists = connection.execute(TABLE).fetchone()
            row: tuple[Any, ...] | None = connection.execute(QUERY).fetchone() if exists else None
        finally:
            connection.close()
        return row

    async def _read_outside(self) -> tuple[Any, ...] | None:
        # Two copies of SQLite in one process break each other's POSIX locks: once the engine has opened the file
        # here, only another process may look into it.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _CHECK, self._uri, TABLE, QUERY,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=for_children(os.environ, network=False),
        )  # fmt: skip
        output, errors = await process.communicate()
        if process.returncode != 0:
            message = errors.decode(errors="replace").strip().rpartition("\n")[2]
            raise sqlite3.DatabaseError(message)
        row = json.loads(output)
        return None if row is None else tuple(row)
