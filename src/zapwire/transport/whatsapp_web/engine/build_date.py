"""How old the engine is: the day of the whatsmeow source that it was built of, which Go writes into the library."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Final

_VERSION: Final = re.compile(rb"\tgo\.mau\.fi/whatsmeow\tv0\.0\.0-([0-9]{4})([0-9]{2})([0-9]{2})[0-9]{6}-")


def built_on(library: Path) -> str | None:
    """The day, `2026-09-21`; None when the library does not tell. Reads the whole file once, some 10 ms."""
    with library.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        found = _VERSION.search(content)
        return None if found is None else b"-".join(found.groups()).decode()
