"""Does everything that is sealed open with the master key."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from zapwire import folder_lock, unlocking
from zapwire.errors import SettingsError
from zapwire.settings import BOTS, Settings
from zapwire.store import rekeying
from zapwire.vault import files
from zapwire.vault.database import SealedDatabase
from zapwire.vault.files import InUse
from zapwire.vault.keys import Damaged, KeyRing
from zapwire.vault.vfs import Vfs


def look(settings: Settings) -> Counter[str]:
    """How many auth files are sealed with which key, by their first pages only; also while the daemon runs."""
    source, found = unlocking.find(settings), Counter[str]()
    for path in sorted((settings.sessions_dir / BOTS).glob("*.db")):
        if files.is_plain_database(path):
            found["not sealed"] += 1
        elif source is None:
            found["without a key to open them"] += 1
        else:
            try:
                found[f"sealed with {files.unlock(path, source.keys).master.fingerprint}"] += 1
            except Damaged as error:
                found[f"damaged: {path.name}, {error}"] += 1
    return found


def verify(settings: Settings, library: Path) -> tuple[int, list[str]]:
    """Open every page of every auth file and every sealed value; how many files those were, and what is wrong.

    No daemon may run. Raises `SettingsError` without a key, and `StoreError`.
    """
    with folder_lock.hold(settings.sessions_dir, "key verify"):
        source = unlocking.find(settings)
        if source is None:
            raise SettingsError("there is no master key yet: start the daemon once", field="master_key_file")
        paths = sorted((settings.sessions_dir / BOTS).glob("*.db"))
        faults = [fault for path in paths for fault in _faults(path, source.keys, library)]
        if settings.database_file.exists():
            faults += [f"database: {fault}" for fault in rekeying.verify(settings.database_file, source.keys)]
        return len(paths), faults


def _faults(path: Path, keys: KeyRing, library: Path) -> list[str]:
    database = SealedDatabase(path, Vfs.of(library), keys)
    try:
        rows = database.query("PRAGMA integrity_check")
        database.close()
    except (Damaged, InUse) as error:
        return [f"{path.name}: {error}"]
    return [f"{path.name}: {row[0]!s}" for row in rows if row[0] != "ok"]
