"""Where the master key comes from: a systemd credential, a file, a variable, or the file made at the first start."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from zapwire.runtime import durable_files
from zapwire.vault.keys import KeyFormatError, KeyRing, MasterKey

CREDENTIAL: Final = "master.key"
"""Name of the systemd credential: `LoadCredentialEncrypted=master.key:...`."""
BESIDE: Final = "master.key"
"""Name of the file in the sessions folder."""


class KeyUnavailable(Exception):
    """There is no usable master key; says why and what to do, never what the key is."""


class KeyOrigin(StrEnum):
    """Which of the sources a key came from."""

    CREDENTIAL = "credential"
    FILE = "file"
    VARIABLE = "variable"
    BESIDE = "beside the data"


@dataclass(frozen=True, slots=True)
class Source:
    """The keys, and where they were found."""

    keys: KeyRing
    origin: KeyOrigin
    file: Path | None = None

    @property
    def warning(self) -> str | None:
        """What is weak about this place, in words."""
        if self.origin is not KeyOrigin.BESIDE:
            return None
        return (
            f"the master key lies beside the data ({self.file}): that protects copies of the data alone, not of the "
            "whole folder; docs/security.md says where to keep it instead"
        )


def find(
    folder: Path,
    *,
    file: Path | None = None,
    shared: bool = False,
    variable: str | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Source | None:
    """The first source that there is, in the order of the module's first line; None when there is none yet.

    *folder* is the sessions folder, *file*, *shared* and *variable* are what the settings say. Raises
    `KeyUnavailable` when a source cannot be used: the next one is not tried.
    """
    credentials = environment.get("CREDENTIALS_DIRECTORY")
    credential = Path(credentials) / CREDENTIAL if credentials else None
    if credential is not None and credential.exists():
        return Source(_read(credential), KeyOrigin.CREDENTIAL, credential)
    if file is not None:
        _refuse_open_permissions(file, shared=shared)
        return Source(_read(file), KeyOrigin.FILE, file)
    if variable:
        return Source(_parse(variable.encode(), "ZAPWIRE_MASTER_KEY"), KeyOrigin.VARIABLE)
    beside = folder / BESIDE
    if not beside.exists():
        return None
    _refuse_open_permissions(beside)
    return Source(_read(beside), KeyOrigin.BESIDE, beside)


def make(folder: Path) -> Source:
    """Make a key and keep it beside the data, for a first start. Raises `KeyUnavailable`."""
    keys, file = KeyRing(MasterKey.generate()), folder / BESIDE
    write(file, keys)
    return Source(keys, KeyOrigin.BESIDE, file)


def write(file: Path, keys: KeyRing) -> None:
    """Keep *keys* in *file* (mode 0600), whole or not at all; a link stays one. Raises `KeyUnavailable`."""
    try:
        # Where a link leads to: replacing the link would leave the old key there and bring the new one to here.
        durable_files.publish(file.resolve(), [keys.text().encode()])
    except OSError as error:
        message = f"the master key cannot be written to {file}: {error.strerror}"
        raise KeyUnavailable(message) from None


def _read(file: Path) -> KeyRing:
    try:
        return _parse(file.read_bytes(), str(file))
    except OSError as error:
        message = f"the master key {file} cannot be read: {error.strerror}"
        raise KeyUnavailable(message) from None


def _parse(text: bytes, where: str) -> KeyRing:
    try:
        return KeyRing.parse(text)
    except KeyFormatError as error:
        message = f"{where}: {error}"
        raise KeyUnavailable(message) from None


def _refuse_open_permissions(file: Path, *, shared: bool = False) -> None:
    """*shared*: it may be read by others, as the secrets of containers are; written by them never."""
    try:
        mode = file.stat().st_mode & 0o777
    except OSError as error:
        message = f"the master key {file} cannot be read: {error.strerror}"
        raise KeyUnavailable(message) from None
    if mode & 0o022:
        message = f"the master key {file} can be changed by others (mode {mode:04o}): chmod 600 {file}"
        raise KeyUnavailable(message)
    if mode & 0o077 and not shared:
        message = (
            f"the master key {file} can be read by others (mode {mode:04o}): chmod 600 {file}; or, where nobody else "
            "is, as in a container, set ZAPWIRE_MASTER_KEY_FILE_SHARED=true"
        )
        raise KeyUnavailable(message)
