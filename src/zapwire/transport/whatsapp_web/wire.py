"""protobuf's wire format, as far as it is looked into without parsing all of it.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_VARINT: Final = 0
_FIXED64: Final = 1
_LENGTH: Final = 2
_FIXED32: Final = 5
_LONGEST_VARINT: Final = 10


def fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message, one level deep: number, and where each begins, where its value begins and ends.

    Raises ValueError when *data* is no message.
    """
    place = 0
    while place < len(data):
        start = place
        tag, place = _varint(data, place)
        kind = tag & 7
        size = 0
        if kind == _LENGTH:
            size, place = _varint(data, place)
        elif kind == _VARINT:
            size = _varint(data, place)[1] - place
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            message = f"a field of wire type {kind}"
            raise ValueError(message)
        if place + size > len(data):
            raise ValueError("a field that is cut off")
        yield tag >> 3, start, place, place + size
        place += size


def values(data: bytes, number: int) -> list[bytes]:
    """The values of one field, one level deep, as they stand. Raises ValueError."""
    return [data[begin:end] for found, _, begin, end in fields(data) if found == number]


def without(data: bytes, number: int) -> bytes:
    """*data* without one of its fields; as it is when it is no message."""
    try:
        spans = [(start, end) for found, start, _, end in fields(data) if found == number]
    except ValueError:
        return data
    for start, end in reversed(spans):
        data = data[:start] + data[end:]
    return data


def text_field(number: int, text: str) -> bytes:
    """A field that holds *text*, to be appended to a message."""
    value = text.encode()
    return _encode(number << 3 | _LENGTH) + _encode(len(value)) + value


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    for index in range(place, min(place + _LONGEST_VARINT, len(data))):
        byte = data[index]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, index + 1
        shift += 7
    raise ValueError("a number that does not end")


def _encode(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
