"""What is wrong with a value from outside, in the words of a person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from zapwire.model.errors import InvalidInput
from zapwire.runtime.json_encoder import valid_text

UNION_TAGS: Final = ("(boolean)", "(object)")
"""Of a field that takes a boolean or an object."""
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


def checked_text(value: Any, field: str) -> str:
    """*value*, if it is a text that can be encoded. Raises `InvalidInput` for *field*."""
    if not isinstance(value, str):
        raise InvalidInput("has to be a text", field=field)
    if valid_text(value) != value:
        raise InvalidInput("holds half of a character (a surrogate without its other half)", field=field)
    return value


def field_name(where: Iterable[str | int]) -> str:
    """The field at a place in the input, as `a.b.0`, without the tags of unions."""
    return ".".join(str(part) for part in where if part not in UNION_TAGS)
