"""The builds of the engine that are known inside, with everything that was found out about each.

The engine exports no way to see when a client is in its table, nor to switch on what whatsmeow has off by default. In a
build that is listed here both are done from outside: numbers are read, and single bytes are written, in memory that Go
allocated; no code is ever changed. Any other build (so that for arm64) is left alone, and everything works without it
(docs/decisions/0013-builds-and-flags.md says what is missing then). Standard library only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VERSION: Final = "0.5.2"
"""What the loaded library has to answer, build known or not: the exports' arguments are those of this version."""


@dataclass(frozen=True, slots=True)
class MapLayout:
    """How Go lays out a `map[string]*T` (Go 1.26, internal/runtime/maps: map.go, table.go, group.go)."""

    size: int = 0
    """In the header: the number of entries, 64 bits."""
    directory: int = 16
    directory_length: int = 24
    writing: int = 34
    """The flag that is set while an entry is made or removed."""
    table_groups: int = 16
    """In a table: its groups, then the number of groups less one."""
    slots: int = 8
    """In a group, behind one control byte for each."""
    slot: int = 24
    """A string (pointer, length) and the pointer."""
    free: int = 0x80
    """The bit of a control byte that says that its slot is empty or deleted."""

    @property
    def group(self) -> int:
        """Bytes of a group."""
        return self.slots + self.slots * self.slot


@dataclass(frozen=True, slots=True)
class ClientLayout:
    """Where things lie in a `whatsmeow.Client` (client.go), by offset."""

    flags: dict[str, int]
    """The flags that may be switched on."""
    bytes: dict[int, frozenset[int]]
    """Values that a byte of a client can have; if one has another, this is no client as we know it."""
    equal_words: tuple[int, ...]
    """Words that are the same in each client, and not 0."""
    zero_words: tuple[int, ...]
    media: int
    """Word that points to what is known of the media hosts (mediaconn.go, `MediaConn`); 0 until they were asked for."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build of the engine."""

    build_id: str
    """GNU build id, in hex."""
    architecture: str
    version: str
    clients: int
    """From the export `Neonize` to the variable that points to the table of clients."""
    maps: MapLayout
    client: ClientLayout
    verified: str
    """What it was found and verified with."""


BUFFER_DECRYPTED: Final = "EnableDecryptedEventBuffer"
KEEP_SENT: Final = "UseRetryMessageStore"
LEAVE_HISTORY: Final = "ManualHistorySyncDownload"

_BOOL: Final = frozenset({0, 1})
_OFF: Final = frozenset({0})
_ON: Final = frozenset({1})

KNOWN: Final = (
    Build(
        build_id="c341d029cf3495f973c06ccead216fb3d789c46a",
        architecture="x86-64",
        version=VERSION,
        clients=0x9CADF0,
        maps=MapLayout(),
        client=ClientLayout(
            flags={BUFFER_DECRYPTED: 0xA9, LEAVE_HISTORY: 0x114, KEEP_SENT: 0x3AA0},
            bytes={
                0x7C: _ON,  # EnableAutoReconnect
                0x7D: _BOOL,  # InitialAutoReconnect
                0xA8: _OFF,  # SynchronousAck
                0xA9: _BOOL,  # EnableDecryptedEventBuffer
                0xD0: _OFF,  # EmitAppStateEventsOnFullSync
                0xD1: _OFF,  # AppStateDebugLogs
                0xD2: _OFF,  # AutomaticMessageRerequestFromPhone
                0x114: _BOOL,  # ManualHistorySyncDownload
                0x115: _OFF,  # DisableManualHistorySyncReceipt
                0x3AA0: _BOOL,  # UseRetryMessageStore
                0x3AE0: _ON,  # AutoTrustIdentity
                0x3AE1: _BOOL,  # ErrorOnSubscribePresenceWithoutToken
                0x3AE2: _BOOL,  # SendReportingTokens
            },
            equal_words=(0x08, 0x18, 0x28),  # the type of Log, recvLog, sendLog
            zero_words=(0xA0, 0x3A98),  # AutoReconnectHook, PreRetryCallback
            media=0x138,  # mediaConnCache
        ),
        verified="disassembly of main.IsConnected, bufferedDecrypt, backgroundIfAsyncAck; Go's type descriptors; "
        "a live client read byte by byte; each flag's effect seen in tests/transport (2026-11-26)",
    ),
)


def find(library: Path, builds: Iterable[Build] = KNOWN) -> Build | None:
    """Which of *builds* the file *library* is; None when it is none of them. Raises OSError."""
    found = build_id(library)
    return next((build for build in builds if build.build_id == found), None)


_IDENT: Final = b"\x7fELF\x02\x01"
_PROGRAM_HEADERS: Final = struct.Struct("<32xQ14xHH")
"""Of a 64-bit ELF header: where the program headers are, the size of one, and how many."""
_PROGRAM_HEADER: Final = struct.Struct("<I4xQ16xQ")
"""Type, place in the file, size there."""
_PT_NOTE: Final = 4
_NT_GNU_BUILD_ID: Final = 3
_HEAD: Final = 65536


def build_id(library: Path) -> str | None:
    """The GNU build id of an ELF file in hex; None when it has none, or is no 64-bit little-endian ELF."""
    with library.open("rb") as file:
        head = file.read(_HEAD)
    if not head.startswith(_IDENT):
        return None
    try:
        start, size, count = _PROGRAM_HEADERS.unpack_from(head)
        for number in range(count):
            kind, place, length = _PROGRAM_HEADER.unpack_from(head, start + number * size)
            if kind == _PT_NOTE and (found := _note(head[place : place + length])) is not None:
                return found
    except (struct.error, OverflowError):  # no sound header
        pass
    return None


def _note(notes: bytes) -> str | None:
    place = 0
    while place + 12 <= len(notes):
        name_size, size, kind = struct.unpack_from("<III", notes, place)
        name = place + 12
        content = name + (name_size + 3 & ~3)
        if kind == _NT_GNU_BUILD_ID and notes[name : name + name_size] == b"GNU\0":
            return notes[content : content + size].hex()
        place = content + (size + 3 & ~3)
    return None
