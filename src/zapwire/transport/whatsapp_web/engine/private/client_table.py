"""The engine's table of clients, seen from outside, without asking the engine.

A start writes to Go's table of clients right before it dials (docs/engine.md's E1), and no callback tells that moment:
the first one comes after the dial, which takes a second on a slow network. The table's header holds the number of
entries, and a read of these 8 bytes disturbs nobody, so that number is the signal. Where it lies is known for the
builds in `builds`; with any other one `Gate` waits longer. Go does not move what it allocates.

Sources: neonize 0.5.2, goneonize/main.go; Go 1.26, internal/runtime/maps.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Final

from zapwire.transport.whatsapp_web.engine.private.builds import Build

_TRIES: Final = 50


class ClientTable:
    """Where the clients are; only for the build that it is made for."""

    def __init__(self, build: Build, neonize: int) -> None:
        """*neonize* is the address of the export `Neonize` in this process."""
        self.build = build
        self._variable = ctypes.c_void_p.from_address(neonize + build.clients)

    def size(self) -> int | None:
        """How many clients there are; None while that is changing."""
        header = self._variable.value
        if header is None:
            return None
        before = _word(header + self.build.maps.size)
        return None if _byte(header + self.build.maps.writing) else before

    def client(self, bot: bytes) -> int | None:
        """The address of the client of *bot*; None when it is not found. It is valid as long as the client runs."""
        for _ in range(_TRIES):  # a start or a stop may be changing the table right now, for some 100 ns
            header = self._settled_header()
            client = self._find(header, bot) if header is not None else None
            if client is not None and self._settled_header() == header:
                return client
        return None

    def _settled_header(self) -> int | None:
        """Where the table's header lies; None while there is none or an entry is being made or removed."""
        return self._variable.value if self.size() is not None else None

    def _find(self, header: int, bot: bytes) -> int | None:
        maps = self.build.maps
        for group in self._groups(header):
            content = ctypes.string_at(group, maps.group)
            for slot in range(maps.slots):
                if content[slot] & maps.free:
                    continue
                place = maps.slots + slot * maps.slot
                text, length, client = (
                    int.from_bytes(content[place + i : place + i + 8], "little") for i in (0, 8, 16)
                )
                if length == len(bot) and ctypes.string_at(text, length) == bot:
                    return int(client)
        return None

    def _groups(self, header: int) -> Iterator[int]:
        """The groups of a map: one when it is small, else those of the tables in its directory."""
        maps = self.build.maps
        directory, count = _word(header + maps.directory), _word(header + maps.directory_length)
        if count == 0:
            yield directory
            return
        for table in dict.fromkeys(_word(directory + 8 * number) for number in range(count)):
            first, mask = _word(table + maps.table_groups), _word(table + maps.table_groups + 8)
            yield from range(first, first + (mask + 1) * maps.group, maps.group)


def _word(address: int) -> int:
    return ctypes.c_uint64.from_address(address).value


def _byte(address: int) -> int:
    return ctypes.c_uint8.from_address(address).value
