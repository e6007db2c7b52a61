"""Does everything that is sealed open with the master key."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from zapwire.maintenance import master_key
from zapwire.model.bots import Identity
from zapwire.runtime import instance_lock
from zapwire.settings import BOTS, SPOOLS, Settings
from zapwire.store.sqlite import rekey
from zapwire.transport.whatsapp_web.auth import auth_file
from zapwire.transport.whatsapp_web.inbound import spool
from zapwire.vault import sealed_files
from zapwire.vault.keys import Damaged, KeyRing
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_files import InUse
from zapwire.vault.sqlite import SqliteError
from zapwire.vault.vfs import Vfs


def look(settings: Settings) -> Counter[str]:
    """How many auth files are sealed with which key, by their first pages only; also while the daemon runs."""
    source, found = master_key.find(settings), Counter[str]()
    for path in _auth_files(settings):
        if sealed_files.is_plain_database(path):
            found["not sealed"] += 1
        elif source is None:
            found["without a key to open them"] += 1
        else:
            try:
                found[f"sealed with {sealed_files.unlock(path, source.keys).master.fingerprint}"] += 1
            except Damaged as error:
                found[f"damaged: {path.name}, {error}"] += 1
            except OSError as error:
                found[f"unreadable: {path.name}, {error.strerror}"] += 1
    return found


def verify(settings: Settings, library: Path) -> tuple[int, list[str]]:
    """Open every page of every auth file and every sealed value; how many files those were, and what is wrong.

    No daemon may run. Raises `SettingsError` without a key, and `StoreError`.
    """
    with instance_lock.hold(settings.sessions_dir, "key verify"):
        source = master_key.for_all(settings)
        paths = _auth_files(settings)
        if settings.auth_state == "plain":
            paths = [path for path in paths if not sealed_files.is_plain_database(path)]
        accounts = rekey.accounts(settings.database_file, source.keys)
        faults = [
            fault
            for path in paths
            for fault in _faults(path, source.keys, library, accounts.get(sealed_files.name_of(path), Identity()))
        ]
        faults += [
            fault
            for path in spool.left_in(settings.sessions_dir / SPOOLS)
            for fault in _spool_faults(path, source.keys)
        ]
        faults += [f"database: {fault}" for fault in rekey.verify(settings.database_file, source.keys)]
        return len(paths), faults


def _auth_files(settings: Settings) -> list[Path]:
    """Those that there are, and those that there have to be."""
    folder = settings.sessions_dir / BOTS
    return sorted({*folder.glob("*.db"), *sealed_files.expected(folder)})


def _faults(path: Path, keys: KeyRing, library: Path, account: Identity) -> list[str]:
    database = SealedDatabase(path, Vfs.of(library), keys)
    try:
        rows = database.query("PRAGMA integrity_check")
        device = auth_file.read(database.query)
        database.close()
    except (Damaged, InUse, SqliteError, OSError) as error:
        return [f"{path.name}: {error}"]
    faults = [f"{path.name}: {row[0]!s}" for row in rows if row[0] != "ok"]
    if device is not None and auth_file.differ(device.identity, account):
        faults.append(f"{path.name}: it is linked to another account than the bot is: it may be another bot's")
    return faults


def _spool_faults(path: Path, keys: KeyRing) -> list[str]:
    try:
        fault = spool.verify(path, keys)
    except OSError as error:
        fault = str(error.strerror)
    return [] if fault is None else [f"{path.name}: {fault}"]
