"""Lets the engine trust another server: replaces the key that WhatsApp's Noise certificates are checked with.

Only for a server override. The key is a Go global of 32 bytes, once in the library's writable mapping (wire.md, trap
2); overwriting it in this process before the first connection is enough. Nothing on disk changes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT_OF_WHATSAPP: Final = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
"""whatsmeow, handshake.go, WACertPubKey: public and the same for everyone."""


class NoiseRootError(Exception):
    """The key was not found exactly once: this engine is not the one this program was written for."""


def replace_noise_root(library: Path, root: bytes) -> None:
    """Overwrite the key in this process' copy of *library*, which is loaded already. Raises `NoiseRootError`."""
    if len(root) != len(ROOT_OF_WHATSAPP):
        message = f"a Noise root has 32 bytes, not {len(root)}"
        raise NoiseRootError(message)
    places = [place for start, end in _writable_mappings(library) for place in _find(start, end, ROOT_OF_WHATSAPP)]
    if not places and any(_find(start, end, root) for start, end in _writable_mappings(library)):
        return  # replaced before in this process
    if len(places) != 1:
        message = (
            f"found {len(places)} copies of the Noise root in the engine instead of one; the override does not fit it"
        )
        raise NoiseRootError(message)
    ctypes.memmove(places[0], root, len(root))


def _writable_mappings(library: Path) -> Iterator[tuple[int, int]]:
    real = str(library.resolve())
    for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
        addresses, mode, *_, path = [*line.split(maxsplit=5), ""][:6]
        if path == real and mode.startswith("rw"):
            start, _, end = addresses.partition("-")
            yield int(start, 16), int(end, 16)


def _find(start: int, end: int, wanted: bytes) -> list[int]:
    memory = ctypes.string_at(start, end - start)
    places, at = [], memory.find(wanted)
    while at >= 0:
        places.append(start + at)
        at = memory.find(wanted, at + 1)
    return places
