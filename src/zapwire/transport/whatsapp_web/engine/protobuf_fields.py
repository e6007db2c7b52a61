"""protobuf's wire format, as far as it is looked into without parsing all of it.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

_VARINT: Final = 0
_LENGTH: Final = 2
_FIXED: Final = {1: 8, 5: 4}
_MORE: Final = 0x80
"""Bit of a byte of a varint that says that another one follows."""
_LONGEST_VARINT: Final = 10


def fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """The fields of a message, one level deep: number, and where each begins, where its value begins and ends.

    Raises ValueError when *data* is no message. Quick, as it stands in the way of what comes in: mostly tags and sizes
    are one byte.
    """
    place, end = 0, len(data)
    while place < end:
        start, tag = place, data[place]
        place += 1
        if tag >= _MORE:
            tag, place = _varint(data, start)
        kind, size = tag & 7, 0
        if kind == _VARINT:
            value = place
            place = place + 1 if place < end and data[place] < _MORE else _varint(data, place)[1]
        elif kind == _LENGTH:
            if place < end and data[place] < _MORE:
                size, value = data[place], place + 1
            else:
                size, value = _varint(data, place)
            place = value + size
        elif kind in _FIXED:
            value, place = place, place + _FIXED[kind]
        else:
            message = f"a field of wire type {kind}"
            raise ValueError(message)
        if place > end:
            raise ValueError("a field that is cut off")
        yield tag >> 3, start, value, place


def values(data: bytes, number: int) -> list[bytes]:
    """The values of one field, one level deep, as they stand. Raises ValueError."""
    return [data[begin:end] for found, _, begin, end in fields(data) if found == number]


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
