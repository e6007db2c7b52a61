"""The master key of this installation: found where the settings say, or made at the very first start."""

from __future__ import annotations

import logging

from zapwire.model.errors import SettingsError
from zapwire.settings import BOTS, Settings
from zapwire.store.sqlite import encryption
from zapwire.vault import sources
from zapwire.vault.keys import KeyRing
from zapwire.vault.sealed_pages import salt_of
from zapwire.vault.sources import KeyUnavailable, Source

log = logging.getLogger(__name__)


def unlock(settings: Settings) -> Source:
    """Where the master key is; at the first start a new one is made beside the data.

    Raises `SettingsError` when it cannot be used, or when there are sealed data but no key.
    """
    source = find(settings)
    if source is None:
        sealed = sealed_data(settings)
        if sealed is not None:
            raise SettingsError(
                f"master_key_file: there is no master key, but {sealed}: put the key back to "
                f"{settings.sessions_dir / sources.BESIDE}, or name its file with ZAPWIRE_MASTER_KEY_FILE",
                field="master_key_file",
            )
        source = _make(settings)
        log.info("made a master key: %s", source.file)
    _refuse_another_key(settings, source)
    if source.warning is not None:
        log.warning("%s", source.warning)
    return source


def for_all(settings: Settings) -> Source:
    """Where the master key is, for work on all that is sealed with it.

    Raises `SettingsError` without a key, with another one than the database has, and without the database: what is
    sealed there would be missed, and lost with a key that goes.
    """
    source = find(settings)
    if source is None:
        raise SettingsError("there is no master key yet: start the daemon once", field="master_key_file")
    if not settings.database_file.exists():
        raise SettingsError(
            f"database: there is none at {settings.database_file}: give the --database and --sessions-dir (or "
            "--config, or ZAPWIRE_ variables) that the daemon runs with; nothing was changed",
            field="database",
        )
    _refuse_another_key(settings, source)
    return source


def to_make_tokens(settings: Settings) -> KeyRing:
    """The master key, with which new tokens are signed. Raises `SettingsError` when it is not to be had from here."""
    source = find(settings)
    if source is None:
        raise SettingsError(
            "master_key_file: tokens are signed with the master key, which is not to be found from here: give it as "
            "the daemon gets it, with ZAPWIRE_MASTER_KEY_FILE or ZAPWIRE_MASTER_KEY, or by systemd-run with the "
            "credential of the unit (docs/cli.md)",
            field="master_key_file",
        )
    _refuse_another_key(settings, source)
    return source.keys


def find(settings: Settings) -> Source | None:
    """Where the master key is; None when there is none yet. Raises `SettingsError` when it cannot be used."""
    variable = settings.master_key.get_secret_value() if settings.master_key else None
    try:
        return sources.find(
            settings.sessions_dir,
            file=settings.master_key_file,
            shared=settings.master_key_file_shared,
            variable=variable,
        )
    except KeyUnavailable as error:
        raise SettingsError(str(error), field="master_key_file") from None


def _refuse_another_key(settings: Settings, source: Source) -> None:
    sealed_with = encryption.fingerprint(settings.database_file)
    given = [key.fingerprint for key in source.keys]
    if sealed_with is not None and sealed_with not in given:
        raise SettingsError(
            f"master_key_file: the database {settings.database_file} is sealed with the master key {sealed_with}, not "
            f"with the one given, {' and '.join(given)}: give the right one; nothing was changed",
            field="master_key_file",
        )


def _make(settings: Settings) -> Source:
    try:
        return sources.make(settings.sessions_dir)
    except KeyUnavailable as error:
        raise SettingsError(str(error), field="sessions_dir") from None


def sealed_data(settings: Settings) -> str | None:
    """What is there already that only the missing key opens."""
    fingerprint = encryption.fingerprint(settings.database_file)
    if fingerprint is not None:
        return f"the database {settings.database_file} is sealed with the key {fingerprint}"
    for file in sorted((settings.sessions_dir / BOTS).glob("*.db")):
        with file.open("rb") as content:
            if salt_of(content.read(16)) is not None:
                return f"{file} is sealed"
    return None
