"""Which version of WhatsApp Web the engine says it is, and saying another one.

whatsmeow names its version, 2.3000.N, at each registration and login (store/clientpayload.go). It is data, three 32-bit
numbers that stand once in the library's writable part and once where Go keeps what it allocates; the MD5 of its text
(`buildHash` of a registration) stands behind the library's writable part. No known build is needed: nothing is written
unless each of the two is found exactly once. Go does not move what it allocates, and whoever reads a number while it is
being replaced gets the old one or the new one.
"""

from __future__ import annotations

import ctypes
import hashlib
import struct
from pathlib import Path
from typing import Final, TypeAlias

from zapwire.transport.whatsapp_web.engine.private import memory
from zapwire.transport.whatsapp_web.engine.private.memory import Mapping

Version: TypeAlias = tuple[int, int, int]

_HEAD: Final = struct.pack("<II", 2, 3000)
_NUMBER: Final = 4
REVISIONS: Final = range(1_000_000_000, 1 << 31)
"""What the third number can be: of 2023 and later, and not more than other programs can read."""
_HASH: Final = 16


class VersionNotFound(Exception):
    """The engine's version does not stand where it should: this engine cannot be told to announce another one."""


def announced_version(library: Path) -> Version | None:
    """The version that *library*, which is loaded already, announces; None when it is not found exactly once."""
    places = _in_library(library)
    return None if len(places) != 1 else (2, 3000, _number(places[0]).value)


class AnnouncedVersion:
    """Where the engine's version stands; `announce` replaces it."""

    def __init__(self, library: Path) -> None:
        """Find it in this process; *library* is loaded, and Go has begun. Takes some milliseconds.

        Raises `VersionNotFound`.
        """
        places = _in_library(library)
        if len(places) != 1:
            message = f"it stands {len(places)} times in the library instead of once"
            raise VersionNotFound(message)
        own = _number(places[0])
        part = next(part for part in memory.of_library(library) if part.start <= places[0] < part.end)
        copies = memory.find(memory.of_go(library), _HEAD + struct.pack("<I", own.value))
        if len(copies) != 1:
            message = f"it stands {len(copies)} times in what the engine allocated instead of once"
            raise VersionNotFound(message)
        self._numbers = (own, _number(copies[0]))
        self._hash = _hash_of(part, own.value)

    @property
    def revision(self) -> int:
        """The third number of what is announced."""
        return self._numbers[0].value

    @property
    def with_hash(self) -> bool:
        """Whether the hash in a registration follows, too; else it stays that of the engine's own version."""
        return self._hash is not None

    def announce(self, revision: int) -> None:
        """From the next registration or login on, be 2.3000.*revision* (one of `REVISIONS`)."""
        if revision not in REVISIONS:
            message = f"{revision} is no revision of WhatsApp Web"
            raise ValueError(message)
        for number in self._numbers:
            number.value = revision
        if self._hash is not None:
            ctypes.memmove(self._hash, _digest(revision), _HASH)


def _in_library(library: Path) -> list[int]:
    places = memory.find(memory.of_library(library), _HEAD)
    return [place for place in places if place % _NUMBER == 0 and _number(place).value in REVISIONS]


def _number(place: int) -> ctypes.c_uint32:
    return ctypes.c_uint32.from_address(place + len(_HEAD))


def _hash_of(data: Mapping, revision: int) -> int | None:
    """Where the hash of the version stands: in the part without a file that follows the library's *data*."""
    places = memory.find(memory.behind(data), _digest(revision))
    return places[0] if len(places) == 1 else None


def _digest(revision: int) -> bytes:
    return hashlib.md5(f"2.3000.{revision}".encode(), usedforsecurity=False).digest()
