"""JSON as it leaves the program: API answers, events, webhook bodies, the journal.

Always valid JSON (RFC 8259) in valid UTF-8, whatever a stranger put into a value: numbers that JSON does not know (NaN,
infinities) become null, halves of surrogate pairs become U+FFFD. Both are rare, so they are looked for only when the
encoder finds one.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final


def encode(value: Any) -> str:
    """*value* (dicts with text keys, lists, texts, numbers, booleans, None) as compact JSON, encodable as UTF-8.

    Raises TypeError for values of other types.
    """
    try:
        text = _dumps(value)
        if not text.isascii():
            text.encode()
    except ValueError:  # what JSON or UTF-8 does not know; UnicodeEncodeError is one
        return _dumps(valid(value))
    return text


def encode_bytes(value: Any) -> bytes:
    """`encode` in UTF-8."""
    return encode(value).encode()


def valid(value: Any) -> Any:
    """A copy of *value* in which everything can be told as JSON; see the module's description."""
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):  # protobuf gives a string that is no UTF-8 as its bytes
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {valid(key): valid(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [valid(one) for one in value]
    return value


def valid_text(text: str) -> str:
    """*text* with U+FFFD in place of each half of a surrogate pair."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


_dumps: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""Made once: `json.dumps` makes an encoder for each call that wants anything but its defaults."""
