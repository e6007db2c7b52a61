"""Keeps the engine's own prints out of the program's output (docs/engine.md's E14).

The engine writes to fd 1: errors of sends with the recipient's address in them, and worse. So fd 1 leads nowhere once
the engine is loaded, and Python's `sys.stdout` writes to a copy of what fd 1 was.
"""

from __future__ import annotations

import os
import sys


def divert() -> None:
    """Do it, unless it is done already or something else (a test) has put its own object in `sys.stdout`'s place."""
    if sys.stdout is not sys.__stdout__ or sys.stdout is None or sys.stdout.fileno() != 1:
        return
    sys.stdout.flush()
    copy = os.dup(1)
    stream = os.fdopen(copy, "w", encoding=sys.stdout.encoding, errors=sys.stdout.errors, buffering=1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
    sys.stdout = sys.__stdout__ = stream  # type: ignore[misc]
