"""Is a path still the file that it was: a deleted one that is open works on, and what is written there is lost."""

from __future__ import annotations

from pathlib import Path


def identity(path: Path) -> tuple[int, int] | None:
    """What tells this file from any other that had or gets its name; None when there is none to look at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
