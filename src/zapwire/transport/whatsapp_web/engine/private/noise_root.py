"""Lets the engine trust another server: replaces the key that WhatsApp's Noise certificates are checked with.

Only for a server override. The key is a Go global of 32 bytes, once in the library's writable mapping (wire.md, trap
2); overwriting it in this process before the first connection is enough. Nothing on disk changes.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Final

from zapwire.transport.whatsapp_web.engine.private import memory

ROOT_OF_WHATSAPP: Final = bytes.fromhex("142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b")
"""whatsmeow, handshake.go, WACertPubKey: public and the same for everyone."""


class NoiseRootError(Exception):
    """The key was not found exactly once: this engine is not the one this program was written for."""


def replace_noise_root(library: Path, root: bytes) -> None:
    """Overwrite the key in this process' copy of *library*, which is loaded already. Raises `NoiseRootError`."""
    if len(root) != len(ROOT_OF_WHATSAPP):
        message = f"a Noise root has 32 bytes, not {len(root)}"
        raise NoiseRootError(message)
    parts = memory.of_library(library)
    places = memory.find(parts, ROOT_OF_WHATSAPP)
    if not places and memory.find(parts, root):
        return  # replaced before in this process
    if len(places) != 1:
        message = (
            f"found {len(places)} copies of the Noise root in the engine instead of one; the override does not fit it"
        )
        raise NoiseRootError(message)
    ctypes.memmove(places[0], root, len(root))
