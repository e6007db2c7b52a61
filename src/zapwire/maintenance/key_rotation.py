"""Giving an installation another master key, while no daemon runs.

The order makes it safe to be killed at any point and run again:

1. the new key is put *before* the old one in the key's file; from then on either of them opens everything
2. every auth file is sealed again, each replaced in one step; then the database, in one transaction
3. only when all that is done does the old key leave the file

A key that lies where we cannot write (a systemd credential, a variable) is changed by a person: both keys, the new one
first, then this, then the new one alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from zapwire.maintenance import master_key
from zapwire.model.errors import SettingsError, StoreError
from zapwire.runtime import instance_lock, run_marker
from zapwire.settings import BOTS, SPOOLS, Settings
from zapwire.store.sqlite import encryption, rekey
from zapwire.transport.whatsapp_web.inbound import spool
from zapwire.vault import sealed_files, sources
from zapwire.vault.keys import Damaged, KeyRing, MasterKey
from zapwire.vault.sealed_database import SealedDatabase
from zapwire.vault.sealed_files import InUse
from zapwire.vault.sources import KeyOrigin, Source
from zapwire.vault.sqlite import SqliteError
from zapwire.vault.vfs import Vfs

Step = Callable[[str], None]
"""Told after each step what was done."""


@dataclass(slots=True)
class Report:
    """What a rotation did."""

    fingerprint: str
    """Of the key in use now."""
    auth_files: int = 0
    values: int = 0
    """Sealed values of the database."""
    left: list[str] = field(default_factory=list)
    """Files that do not open: the old key is kept as long as there are any."""
    by_hand: bool = False
    """A person has to remove the old key from where it was given."""


def rotate(settings: Settings, library: Path, step: Step = lambda _: None) -> Report:
    """Seal everything under a new key, or finish a rotation that was interrupted.

    *library* is the engine's, whose SQLite the auth files need. Raises `SettingsError` and `StoreError`.
    """
    with instance_lock.hold(settings.sessions_dir, "key rotate"):
        source = master_key.for_all(settings)
        _refuse_other_databases(settings, source)
        ring = _with_new_key(source)
        step("the new key is there")
        report = Report(ring.sealing.fingerprint)
        for path in auth_files(settings):
            _rekey_file(path, ring, library, report)
            step(f"{path.name} is done")
        for path in spool.left_in(settings.sessions_dir / SPOOLS):
            _rekey_spool(path, ring, report)
            step(f"{path.name} is done")
        report.values = rekey.rekey(settings.database_file, ring)
        step("the database is done")
        if not report.left:
            _drop_old(source, ring, report)
            step("the old key is gone")
        return report


def _refuse_other_databases(settings: Settings, source: Source) -> None:
    """A daemon that was once started with other settings made another one, which this rotation would lock for ever."""
    ours = settings.database_file.resolve()
    try:
        remembered = run_marker.databases(settings.sessions_dir)
    except run_marker.Unreadable as error:
        raise SettingsError(
            f"database: {error}, so it cannot be said whether daemons of this folder used other databases than {ours}, "
            "which the old key seals as well: restore the file; or, if they did not, delete it and run this again; "
            "nothing was changed",
            field="database",
        ) from None
    others = [str(path) for path in remembered if path != ours and not _has_a_key_of_its_own(path, source)]
    if others:
        raise SettingsError(
            f"database: daemons of this folder used {', '.join(others)} too, which the old key seals as well: give the "
            "one in use with --database, and move the others away; nothing was changed",
            field="database",
        )


def _has_a_key_of_its_own(database: Path, ours: Source) -> bool:
    """Is it another installation's (this folder is a copy of that one, say), with its own copy of the key beside it?"""
    try:
        its = sources.find(database.parent, environment={})
        if its is None or its.file is None or (ours.file is not None and its.file.samefile(ours.file)):
            return False
        return encryption.fingerprint(database) in {key.fingerprint for key in its.keys}
    except (sources.KeyUnavailable, StoreError, OSError):
        return False


def auth_files(settings: Settings) -> list[Path]:
    """The auth files that are sealed, or should be."""
    found = sorted((settings.sessions_dir / BOTS).glob("*.db"))
    return [path for path in found if not sealed_files.is_plain_database(path)]


def _with_new_key(source: Source) -> KeyRing:
    if len(source.keys) > 1:  # interrupted, or prepared by a person
        return source.keys
    if source.file is None or source.origin is KeyOrigin.CREDENTIAL:
        raise SettingsError(
            f"the master key is given as a {source.origin.value}, which cannot be changed from here: give two lines "
            "there, a new key from `zapwire key generate` and below it the present one; run this again; then leave "
            "only the first",
            field="master_key_file",
        )
    ring = KeyRing(MasterKey.generate(), *source.keys)
    _write(source.file, ring)
    return ring


def _rekey_file(path: Path, ring: KeyRing, library: Path, report: Report) -> None:
    database = SealedDatabase(path, Vfs.of(library), ring)
    try:
        report.auth_files += database.rekey()
        database.close()
    except Damaged as error:
        report.left.append(f"{path.name}: {error}")
    except (InUse, SqliteError, OSError) as error:
        raise _not_now(path, error) from error


def _rekey_spool(path: Path, ring: KeyRing, report: Report) -> None:
    try:
        spool.rekey(path, ring)
    except Damaged as error:
        report.left.append(f"{path.parent.name}/{path.name}: {error}")
    except OSError as error:
        raise _not_now(path, error) from error


def _not_now(path: Path, error: Exception) -> StoreError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return StoreError(
        f"{path} cannot be sealed again now: {reason}. Nothing is lost, either key opens everything: run this again"
    )


def _drop_old(source: Source, ring: KeyRing, report: Report) -> None:
    if source.file is None or source.origin is KeyOrigin.CREDENTIAL:
        report.by_hand = True
        return
    _write(source.file, KeyRing(ring.sealing))


def _write(file: Path, ring: KeyRing) -> None:
    try:
        sources.write(file, ring)
    except sources.KeyUnavailable as error:
        raise SettingsError(str(error), field="master_key_file") from None
