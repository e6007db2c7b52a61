"""The outermost boxes of an MP4, which say how long the file has to be."""

from __future__ import annotations

from typing import Final

from zapwire.media_tools.child.source import Source

_HEAD: Final = 8
_LONG_HEAD: Final = 16
_MOST: Final = 100_000
"""Boxes that are looked at: a fragmented file has two for each fragment."""


def is_mp4(source: Source) -> bool:
    """MP4, MOV, 3GP: they begin with the same box."""
    return source.at(4, 4) == b"ftyp"


def outermost(source: Source) -> set[bytes] | None:
    """The names of the boxes; `None` when one is longer than what is left of the file."""
    at, found = 0, set[bytes]()
    for _ in range(_MOST):
        if at >= source.size:
            break
        head = source.at(at, _LONG_HEAD)
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        elif size == 0:  # up to the end
            size = source.size - at
        found.add(name)
        at += size
        if size < _HEAD or at > source.size:
            return None
    return found


def ends_too_early(source: Source) -> bool:
    """There is less than it says, or nothing that says where the pictures are."""
    found = outermost(source)
    return found is None or b"moov" not in found
