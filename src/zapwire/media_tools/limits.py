"""How much a child process may use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

MEGABYTE: Final = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Of one child; what passes them is ended, and the file refused."""

    memory: int = 1024 * MEGABYTE
    """Bytes of address space (RLIMIT_AS)."""
    cpu: int = 60
    """Seconds of processor time."""
    wall: float = 90.0
    """Seconds from start to end."""
    descriptors: int = 32
    output: int = 16 * MEGABYTE
    """Bytes of the converted file, which lies in memory."""
    pixels: int = 50_000_000
    """Of an image or of one picture of a video, before anything of it is decoded."""

    def for_child(self) -> dict[str, float]:
        """As the child gets them."""
        return asdict(self)


INSPECT: Final = Limits(cpu=20, wall=30.0, output=0)
IMAGE: Final = Limits(cpu=30, wall=45.0)
VOICE: Final = Limits(cpu=120, wall=180.0)
STICKER: Final = Limits(cpu=60, wall=90.0, output=MEGABYTE // 2)
VIDEO: Final = Limits(cpu=600, wall=600.0, output=64 * MEGABYTE)
"""Of each kind of work. A minute of video in 720p takes about half a minute of processor time."""
