"""What is wrong with a value, in the words of a person: pydantic's own name parsers and types."""

from __future__ import annotations

from typing import Final

_SENTENCES: Final = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "datetime_parsing": "must be a moment like 2026-01-31T12:00:00Z",
    "datetime_from_date_parsing": "must be a moment like 2026-01-31T12:00:00Z",
}


def sentence(kind: str, message: str) -> str:
    """What to show for pydantic's error of this *kind* (its `type`) with this *message* (its `msg`)."""
    return _SENTENCES.get(kind) or message.removeprefix("Value error, ").removeprefix("Input ")
