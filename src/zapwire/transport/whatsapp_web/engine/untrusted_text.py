"""Texts, numbers and moments that somebody else wrote, as what Python and JSON can hold.

protobuf does not check strings of proto2 files, which all of WhatsApp's and neonize's are: Go passes any bytes on, and
Python's `upb` gives `bytes` instead of `str` for a string that is no UTF-8.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, Final

from zapwire.runtime.json_encoder import valid_text

_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_ADDRESS: Final = re.compile(r"[\d.:+-]*\d{5,}[\d.:-]*(@[\w.]+)?")
LARGEST: Final = 2**53 - 1
"""The largest whole number that every JSON reader takes (RFC 8259, section 6)."""


def text_of(value: str | bytes) -> str:
    """A string field of a protobuf; what is no UTF-8 in it becomes U+FFFD."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def moment_of(seconds: float) -> datetime:
    """A moment of Unix time, the nearest that can be told when it is out of range."""
    if not seconds > 0:
        return _FIRST
    return datetime.fromtimestamp(seconds, UTC) if seconds < _LAST.timestamp() else _LAST


def plain(value: Any) -> Any:
    """*value*, read from protobufs into dicts and lists, as what JSON can hold: texts are text, floats are finite or
    None, whole numbers are at most `LARGEST`.
    """
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, bytes | str):
        return valid_text(text_of(value))
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return max(-LARGEST, min(LARGEST, value)) if type(value) is int else value


def without_addresses(text: str) -> str:
    """*text* with `...` in place of long numbers and of JIDs."""
    return _ADDRESS.sub("...", text)
