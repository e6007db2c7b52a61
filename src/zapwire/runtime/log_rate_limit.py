"""Log lines that strangers can cause: one of a kind a minute, with the number of those that were left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Hashable
from typing import Any, Final

EVERY: Final = 60.0
"""Seconds between two lines of one kind."""
_KINDS: Final = 100
"""Kinds that are told apart at one time; more come from somebody who varies them."""


class LogLimit:
    """Writes to *logger* at most one line of a kind in *every* seconds."""

    def __init__(self, logger: logging.Logger, every: float = EVERY) -> None:
        self._logger = logger
        self._every = every
        self._kinds: dict[Hashable, tuple[float, int]] = {}
        """By kind: when the last line was written, and how many were left out since."""

    def log(self, level: int, kind: Hashable, message: str, *args: object, **options: Any) -> None:
        """Write the line as `logging.Logger.log` does, unless one of this *kind* was written lately."""
        now = time.monotonic()
        if kind not in self._kinds and len(self._kinds) >= _KINDS:
            self._kinds = {one: told for one, told in self._kinds.items() if now - told[0] < self._every}
            if len(self._kinds) >= _KINDS:
                kind = None  # all further ones are of one kind
        written, left_out = self._kinds.get(kind, (None, 0))
        if written is not None and now - written < self._every:
            self._kinds[kind] = (written, left_out + 1)
            return
        self._kinds[kind] = (now, 0)
        if left_out:
            message += " (%d more like it since the line before)"
            args = (*args, left_out)
        self._logger.log(level, message, *args, **options)
