"""Which parts this process' memory has, and where something stands in those that never go away while they are read.

These are what was read from the engine's library, what lies right behind that (its variables without a value at the
start), and what Go allocates from: Go gives memory back to the system without taking it from the process' map. They are
read directly: /proc/self/mem is closed to a process that refuses core dumps and is not root's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CHUNK: Final = 1 << 20
"""Bytes that are looked through at a time."""
_GO_GROWS_BY: Final = 4 << 20
"""Go takes memory in pieces of this size, and aligned to it (runtime/mheap.go, `grow`)."""
_OF_GO: Final = frozenset({"", "[anon: Go: heap]"})
"""How the system shows it: Go names it where the kernel can keep names (CONFIG_ANON_VMA_NAME; Go 1.25)."""
_NEAR: Final = 1 << 40
"""Where the system puts libraries and what C and Python allocate: closer to each other than this, and far from Go's."""


@dataclass(frozen=True, slots=True)
class Mapping:
    """A part of the memory that can be read and written."""

    start: int
    end: int
    path: str
    """The file that it was read from; empty when from none, `[heap]` and the like for what the system names."""


def writable() -> Iterator[Mapping]:
    """All parts that can be read and written."""
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        addresses, mode, *_, path = [*line.split(maxsplit=5), ""][:6]
        if mode.startswith("rw"):
            start, _, end = addresses.partition("-")
            yield Mapping(int(start, 16), int(end, 16), path)


def of_library(library: Path) -> list[Mapping]:
    """Those that were read from *library*."""
    real = str(library.resolve())
    return [one for one in writable() if one.path == real]


def behind(part: Mapping) -> list[Mapping]:
    """What follows *part* without a gap, and was read from no file."""
    return [one for one in writable() if one.start == part.end and not one.path]


def of_go(library: Path) -> list[Mapping]:
    """What Go allocates from."""
    near = [one.start for one in of_library(library)]
    return [
        one
        for one in writable()
        if one.path in _OF_GO
        and one.start % _GO_GROWS_BY == 0
        and (one.end - one.start) % _GO_GROWS_BY == 0
        and all(abs(one.start - start) > _NEAR for start in near)
    ]


def find(parts: list[Mapping], wanted: bytes) -> list[int]:
    """Where *wanted* stands in *parts*."""
    found: list[int] = []
    for part in parts:
        for start in range(part.start, part.end, CHUNK):
            piece = ctypes.string_at(start, min(CHUNK + len(wanted) - 1, part.end - start))
            at = piece.find(wanted)
            while at >= 0:
                found.append(start + at)
                at = piece.find(wanted, at + 1)
    return found
