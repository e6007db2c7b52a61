"""Keeps one bot from ending the daemon again and again.

There are answers of WhatsApp after which the engine ends the whole process (docs/engine.md's E22). It writes a log line
first, and goes on only when that was taken; so the bot is noted on the disk then, and is not connected by the next
daemon, which tells why instead. A person may try again.
"""

from __future__ import annotations

import os
from pathlib import Path

from zapwire.model.bots import BotId


class CrashMarker:
    """The note of one bot."""

    def __init__(self, folder: Path, bot: BotId) -> None:
        self._file = folder / f"{bot}.refused"

    def write(self, reason: str) -> None:
        """Note what WhatsApp answered; on the disk when this returns. On the engine's thread."""
        note = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(note, reason.encode())
            os.fsync(note)
        finally:
            os.close(note)

    def take(self) -> str | None:
        """What was noted, once; None when nothing was."""
        try:
            reason = self._file.read_text()
        except FileNotFoundError:
            return None
        self._file.unlink()
        return reason
