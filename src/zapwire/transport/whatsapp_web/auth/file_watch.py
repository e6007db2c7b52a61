"""Notices that an auth database was taken away while the engine works on it.

The engine keeps what it has open, so nothing fails before the next start; what it writes from then on is lost.
"""

from __future__ import annotations

from pathlib import Path

from zapwire.model.errors import Condition
from zapwire.runtime.file_identity import identity
from zapwire.transport.protocol import Troubled


class FileWatch:
    """Watches the file that lies at *path* now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = identity(path)
        self._told = False

    def news(self) -> Troubled | None:
        """What is the matter, once."""
        if self._told or identity(self._path) == self._place:
            return None
        self._told = True
        return Troubled(
            "its auth database was deleted or replaced while in use: the bot works until its next start",
            "Put the file back with the daemon stopped, or log the bot out and pair it again.",
            Condition.AUTH_DAMAGED,
        )
