"""The part of protobuf's wire format that Signal's messages need: varints and byte strings.

Signal's four messages have at most six flat fields; neonize does not ship their compiled form.
"""

from __future__ import annotations

from collections.abc import Mapping

from zapwire.sandbox.signal.errors import DecryptFailed

_VARINT = 0
_BYTES = 2
_MAX_SHIFT = 63

Fields = dict[int, int | bytes]


def encode(fields: Mapping[int, int | bytes | None]) -> bytes:
    """Write fields in the order given; None is left out."""
    output = bytearray()
    for number, value in fields.items():
        if isinstance(value, bytes):
            output += _varint(number << 3 | _BYTES) + _varint(len(value)) + value
        elif value is not None:
            output += _varint(number << 3 | _VARINT) + _varint(value)
    return bytes(output)


def decode(data: bytes) -> Fields:
    """Read all fields, the last one of a number counts; raises DecryptFailed on anything malformed."""
    fields: Fields = {}
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        value, position = _read_varint(data, position)
        if tag & 7 == _VARINT:
            fields[tag >> 3] = value
        elif tag & 7 == _BYTES and position + value <= len(data):
            fields[tag >> 3] = data[position : position + value]
            position += value
        else:
            message = "malformed field in a Signal message"
            raise DecryptFailed(message)
    return fields


def _varint(value: int) -> bytes:
    output = bytearray()
    while value > 0x7F:
        output.append(value & 0x7F | 0x80)
        value >>= 7
    output.append(value)
    return bytes(output)


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data) and shift <= _MAX_SHIFT:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, position
        shift += 7
    message = "a number in a Signal message has no end"
    raise DecryptFailed(message)
