"""What an error of SQLite means for a bot whose auth database it is about.

Only what SQLite itself says counts, and it stands at the end of an error: before it may be anything, also names that a
stranger chose. Sources: sqlite3_errstr (https://sqlite.org/rescode.html), go-sqlite3's `Error`, which appends the
system's error.
"""

from __future__ import annotations

import re
from typing import Final

from zapwire.model.errors import Blocked, Condition, TransportError, ZapwireError

_DAMAGED: Final = r"database disk image is malformed|file is not a database|no such table: whatsmeow_\w+"
_UNWRITABLE: Final = (
    ("readonly database", "it cannot be written"),
    ("database or disk is full", "the disk is full"),
    ("no space left on device", "the disk is full"),
    ("disk i/o error", "the disk fails"),
    ("unable to open database file", "it cannot be opened (permissions, or no file descriptors left)"),
    ("too many open files", "no file descriptors are left"),
)
"""The first that occurs decides: a full disk is told as an I/O error as well."""
_SYSTEM: Final = (
    "no space left on device|too many open files(?: in system)?|permission denied|operation not permitted|"
    "input/output error|no such file or directory|read-only file system|disk quota exceeded|cannot allocate memory"
)
STORE_ERROR: Final = (
    rf"(?P<store_error>{_DAMAGED}|(?:attempt to write a readonly database|database or disk is full|disk I/O error|"
    rf"unable to open database file|no space left on device|too many open files)(?:: (?:{_SYSTEM}))*)"
)
"""Pattern of what SQLite says at the end of an error that is about the database and not about a statement."""
_AT_THE_END: Final = re.compile(rf"(?:.*?: )??{STORE_ERROR}", re.DOTALL | re.IGNORECASE)


def from_store_text(text: str) -> ZapwireError | None:
    """What is the matter with the auth database, if *text* is an error that SQLite ends with such a result."""
    match = _AT_THE_END.fullmatch(text)
    return from_store_error(match) if match else None


def from_store_error(match: re.Match[str]) -> ZapwireError:
    """The same of a *match* of a pattern that contains `STORE_ERROR`."""
    said = match["store_error"].lower()
    reason = next((words for sign, words in _UNWRITABLE if sign in said), None)
    if reason is not None:
        return TransportError(f"its auth database cannot be used: {reason}", condition=Condition.STORE)
    if re.fullmatch(_DAMAGED, said):
        return Blocked(
            "its auth database is damaged",
            action="Restore the bot's auth database, or log the bot out and pair it again.",
            condition=Condition.AUTH_DAMAGED,
        )
    return TransportError(f"its auth database cannot be used: {said}", condition=Condition.STORE)
