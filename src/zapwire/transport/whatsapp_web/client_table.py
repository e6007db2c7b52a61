"""Sees when the engine has entered a client into its table, without asking the engine.

A start writes to Go's table of clients right before it dials (docs/engine.md's E1), and no callback tells that moment:
the first one comes after the dial, which takes a second on a slow network. The table's header holds the number of
entries, and a read of these 8 bytes disturbs nobody, so that number is the signal. Where it lies was found by
disassembling this one build (`main.IsConnected` loads it); any other build is not looked into, and `Gate` waits longer.
Go does not move what it allocates.

Sources: neonize 0.5.2, goneonize/main.go; Go 1.26, internal/runtime/maps/map.go (`Map`).
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

_BUILDS: Final = {bytes.fromhex("c341d029cf3495f973c06ccead216fb3d789c46a"): 0x9CADF0}
"""By GNU build id: from the export `Neonize` to the variable that points to the table. This is the wheel for x86-64."""
_HEAD: Final = 4096
"""The build id is within the first page of the file."""
_WRITING: Final = 34
"""Offset of the flag that is set while an entry is made or removed; the number of entries (64 bits) is at 0."""


class ClientTable:
    """The engine's table of clients, from outside."""

    def __init__(self, variable: int) -> None:
        self._variable = ctypes.c_void_p.from_address(variable)

    @classmethod
    def find(cls, library: Path, neonize: int) -> ClientTable | None:
        """The table of *library*, which is loaded with its export `Neonize` at *neonize*; None for an unknown build."""
        with library.open("rb") as file:
            head = file.read(_HEAD)
        offset = next((offset for build, offset in _BUILDS.items() if build in head), None)
        return None if offset is None else cls(neonize + offset)

    def size(self) -> int | None:
        """How many clients there are; None while that is changing."""
        header = self._variable.value
        if header is None:
            return None
        before = ctypes.c_uint64.from_address(header).value
        writing = ctypes.c_uint8.from_address(header + _WRITING).value
        return None if writing else before

    def settled_header(self) -> int | None:
        """Where the table's header lies; None while there is none or an entry is being made or removed."""
        return self._variable.value if self.size() is not None else None
