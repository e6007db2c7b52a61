"""A sealed auth database (docs/decisions/0005-the-vault.md), and what is done once for all of them at the start."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zapwire.model.bots import BotId
from zapwire.model.errors import Blocked, Condition, SettingsError, TransportError
from zapwire.runtime.file_threads import in_file_thread
from zapwire.transport.whatsapp_web.auth.auth_file import (
    OPTIONS,
    REST,
    Device,
    damaged,
    foreign,
    missing,
    no_state,
    occupied,
    read,
    unusable,
)
from zapwire.vault import selftest, upgrade
from zapwire.vault.keys import Damaged, Foreign, KeyRing, Missing
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_files import InUse
from zapwire.vault.sealed_pages import PageRefused
from zapwire.vault.sqlite import SqliteError
from zapwire.vault.vfs import VaultUnavailable, Vfs

log = logging.getLogger(__name__)


class SealedAuthFile:
    """Implements `devices.AuthFile`."""

    def __init__(self, folder: Path, bot: BotId, vfs: Vfs, ring: KeyRing) -> None:
        self._database = SealedDatabase(folder / f"{bot}.db", vfs, ring, self._on_damage)
        self._listener: Callable[[Blocked], None] | None = None

    @property
    def path(self) -> Path:
        """See `AuthFile.path`."""
        return self._database.path

    @property
    def dsn(self) -> str:
        """See `AuthFile.dsn`."""
        return f"{quote(str(self.path))}?{self._database.options}&{OPTIONS}&{REST}"

    async def prepare(self) -> None:
        """See `AuthFile.prepare`."""
        with _in_words(self.path):
            await in_file_thread(self._database.create)

    async def copy(self) -> bytes:
        """See `AuthFile.copy`."""
        with _in_words(self.path):
            return await in_file_thread(self._database.image)

    async def put(self, copy: bytes) -> None:
        """See `AuthFile.put`."""
        with _in_words(self.path):
            try:
                await in_file_thread(self._database.write, copy)
            except FileExistsError:
                raise occupied(self.path) from None
            except PageRefused:
                raise no_state() from None

    def for_child(self) -> dict[str, Any]:
        """See `AuthFile.for_child`. The key of this file, never the master key."""
        keys = self._database.keys
        return {"dsn": self.dsn, "seal": {"path": str(self.path), "head": keys.head.hex(), "key": keys.key.hex()}}

    def opened_by_engine(self, on_damage: Callable[[Blocked], None]) -> None:
        """See `AuthFile.opened_by_engine`."""
        self._listener = on_damage

    async def destroy(self) -> None:
        """See `AuthFile.destroy`. The key goes first, then the file."""
        with _in_words(self.path):
            await in_file_thread(self._database.destroy)

    async def device(self) -> Device | None:
        """See `AuthFile.device`."""
        with _in_words(self.path):
            return await in_file_thread(self._look)

    def _look(self) -> Device | None:
        database = self._database
        if not database.exists():
            return None
        device = read(database.query)
        if device is not None:
            database.keep()
        return device

    async def bind(self) -> None:
        """See `AuthFile.bind`."""
        if self._database.bound:
            return
        try:
            await in_file_thread(self._database.rekey)
        except (InUse, OSError, SqliteError) as error:  # at the next start, then
            log.warning("%s could not be bound to its bot yet: %s", self.path, error)
            with _in_words(self.path):
                await in_file_thread(self._database.open)
        except Damaged as error:
            raise damaged(self.path, str(error)) from error
        else:
            log.info("%s is bound to its bot now", self.path)

    def _on_damage(self, what: str) -> None:
        if self._listener is not None:
            self._listener(damaged(self.path, what))


def _blocked(path: Path, error: Damaged) -> Blocked:
    if isinstance(error, Missing):
        return missing(path)
    return foreign(path, str(error)) if isinstance(error, Foreign) else damaged(path, str(error))


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    try:
        yield
    except Damaged as error:
        log.critical("%s cannot be opened: %s", path, error)
        raise _blocked(path, error) from error
    except InUse as error:
        text = f"another process works with this bot's auth state: {error}"
        raise TransportError(text, condition=Condition.STORE) from error
    except (SqliteError, OSError) as error:
        raise unusable(str(error)) from error


def start(library: Path, folder: Path, ring: KeyRing) -> Vfs:
    """Register the VFS, try it out, and seal what lies in *folder* in the clear. Blocks. Raises `SettingsError`."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        vfs = Vfs.of(library)
        selftest.check(vfs, folder)
        for name, error in upgrade.seal_all(vfs.code, folder, ring.sealing):
            if error is None:
                log.warning("%s lay there in the clear: it is sealed now, and the old file was overwritten", name)
            else:
                log.error("%s lies there in the clear and cannot be sealed: %s", name, error)
    except VaultUnavailable as error:
        raise SettingsError(
            f"auth_state: the auth state cannot be sealed here: {error}. Nothing was started. Run zapwire on Linux or "
            'macOS with the engine\'s own wheel; only auth_state = "plain" keeps the auth state in the clear',
            field="auth_state",
        ) from error
    except OSError as error:
        raise SettingsError(f"sessions_dir: {folder} cannot be used: {error.strerror}", field="sessions_dir") from error
    return vfs
