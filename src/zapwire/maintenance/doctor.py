"""A look at everything that has to be right before and while the daemon runs; changes nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import resource
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from zapwire import __version__, settings
from zapwire.maintenance import key_verify, master_key
from zapwire.model.errors import ZapwireError
from zapwire.runtime import instance_lock
from zapwire.settings import Settings
from zapwire.store.sqlite import encryption
from zapwire.transport.whatsapp_web.network import preflight
from zapwire.vault import selftest
from zapwire.vault.vfs import VaultUnavailable, Vfs

_LITTLE_SPACE: Final = 500 << 20
_FEW_FILES: Final = 4096


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    text: str
    """What was found, and for what is not right what to do."""


def examine(chosen: Settings, library: Path) -> Iterator[Finding]:
    """Look at everything, one finding after the other; *library* is the engine's."""
    checks: tuple[Callable[[], Iterator[Finding]], ...] = (
        _program,
        _variables,
        lambda: _folder(chosen.sessions_dir),
        lambda: _running(chosen),
        lambda: _key(chosen),
        lambda: _sealing(chosen, library),
        lambda: _database(chosen),
        lambda: _auth_files(chosen),
        _limits,
        lambda: _reach(chosen),
    )
    for check in checks:
        try:
            yield from check()
        except (ZapwireError, OSError, sqlite3.Error) as error:
            yield Finding(Level.FAULT, str(error))


def _program() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(Level.OK, f"zapwire {__version__}, Python {version}, {platform.system()} {platform.machine()}")


def _variables() -> Iterator[Finding]:
    for name in settings.unknown_variables():
        yield Finding(Level.WARNING, f"the environment variable {name} is no setting: a typing mistake?")


def _folder(folder: Path) -> Iterator[Finding]:
    if not folder.exists():
        yield Finding(Level.OK, f"the sessions folder {folder} will be made at the first start")
        return
    mode = folder.stat().st_mode & 0o777
    if mode & 0o077:
        yield Finding(Level.WARNING, f"others can look into {folder} (mode {mode:04o}): chmod 700 {folder}")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(Level.FAULT, f"{folder} cannot be written to by this user: run as the daemon's user")
    free = shutil.disk_usage(folder).free
    level = Level.OK if free > _LITTLE_SPACE else Level.WARNING
    yield Finding(level, f"{folder}: {free >> 20} MiB free on its disk")


def _running(chosen: Settings) -> Iterator[Finding]:
    found = instance_lock.holder(chosen.sessions_dir)
    yield Finding(Level.OK, f"running: {found}" if found else "no daemon runs on this folder")


def _key(chosen: Settings) -> Iterator[Finding]:
    source = master_key.find(chosen)
    if source is None:
        sealed = master_key.sealed_data(chosen)
        if sealed is None:
            yield Finding(Level.OK, "no master key yet: the first start makes one")
        else:
            yield Finding(Level.FAULT, f"the master key is missing, without which nothing opens: {sealed}")
        return
    if source.warning is not None:
        yield Finding(Level.WARNING, source.warning)
    if len(source.keys) > 1:
        yield Finding(Level.WARNING, "a key rotation is not finished: stop the daemon and run `zapwire key rotate`")
    yield Finding(Level.OK, f"master key {source.keys.sealing.fingerprint} ({source.origin.value})")


def _sealing(chosen: Settings, library: Path) -> Iterator[Finding]:
    if chosen.auth_state == "plain":
        yield Finding(Level.WARNING, 'auth_state is "plain": whoever copies an auth file is the bot')
        return
    with tempfile.TemporaryDirectory(prefix="zapwire-doctor-") as place:
        try:
            selftest.check(Vfs.of(library), Path(place))
        except VaultUnavailable as error:
            yield Finding(Level.FAULT, f"the auth state cannot be sealed here: {error}")
            return
    yield Finding(Level.OK, "the engine's SQLite seals what it writes")


def _database(chosen: Settings) -> Iterator[Finding]:
    path = chosen.database_file
    if not path.exists():
        files = sum(key_verify.look(chosen).values())
        if files:
            yield Finding(
                Level.WARNING,
                f"the database {path} is missing beside {files} auth files: put it back, or start and create their "
                'bots again under their old ids with "auth_state": "adopt" (docs/operating.md)',
            )
        else:
            yield Finding(Level.OK, f"the database {path} will be made at the first start")
        return
    with closing(encryption.look_into(path)) as sql:
        verdict = str(sql.execute("PRAGMA quick_check(1)").fetchone()[0])
    if verdict != "ok":
        yield Finding(Level.FAULT, f"the database {path} is damaged ({verdict}): restore a backup")
        return
    source, fingerprint = master_key.find(chosen), encryption.fingerprint(path)
    if source is not None and fingerprint not in {None, *(key.fingerprint for key in source.keys)}:
        yield Finding(Level.FAULT, f"the database {path} is sealed with another master key: {fingerprint}")
        return
    yield Finding(Level.OK, f"the database {path} is whole, {path.stat().st_size >> 10} KiB")


def _auth_files(chosen: Settings) -> Iterator[Finding]:
    for what, count in key_verify.look(chosen).items():
        good = what.startswith("sealed with") or (what == "not sealed" and chosen.auth_state == "plain")
        yield Finding(Level.OK if good else Level.FAULT, f"auth files: {count} {what}")


def _limits() -> Iterator[Finding]:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _FEW_FILES:
        yield Finding(Level.WARNING, f"only {soft} open files allowed: set LimitNOFILE or `ulimit -n`")
    else:
        yield Finding(Level.OK, f"{soft} open files allowed")


def _reach(chosen: Settings) -> Iterator[Finding]:
    if chosen.whatsapp_server is not None:
        yield Finding(Level.WARNING, f"another server stands in for WhatsApp: {chosen.whatsapp_server}")
        return
    if (chosen.sandbox_descriptor_file).exists():
        yield Finding(Level.OK, "this folder's bots are a sandbox's: whether WhatsApp can be reached is left aside")
        return
    asyncio.run(preflight.check(None))
    yield Finding(Level.OK, "WhatsApp can be reached")
