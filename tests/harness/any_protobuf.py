"""Serialized protobufs with any value in any field, at any depth: also such that no library would write."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from zapwire.transport.whatsapp_web.engine import protobuf_fields

TEXTS = (
    *(b"", b"hi", b"hi \xf0\x9f\x8e", b"\xff\xfe", b"\xed\xa0\xbd", b"\x00", b"a\nb", b"x" * 300),
    *("\u202e\U0001f600".encode(), b"1@lid", b"4915510000001:3@s.whatsapp.net"),
    b"Got device removed stream error, sending LoggedOut event and deleting session",
)
FLOATS = (0.0, -1.5, 1e38, float("nan"), float("inf"), -float("inf"))
NUMBERS = (0, 1, 2, 3, 14, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
LENGTHS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}
FIXED = {
    FieldDescriptor.TYPE_DOUBLE: (1, "<d"),
    FieldDescriptor.TYPE_FLOAT: (5, "<f"),
    FieldDescriptor.TYPE_FIXED64: (1, "<Q"),
    FieldDescriptor.TYPE_SFIXED64: (1, "<Q"),
    FieldDescriptor.TYPE_FIXED32: (5, "<L"),
    FieldDescriptor.TYPE_SFIXED32: (5, "<L"),
}
UNKNOWN = 4095


def a_field(of: Any, random: Random, depth: int = 3) -> bytes:
    """One field of the descriptor *of*."""
    if of.type == FieldDescriptor.TYPE_MESSAGE:
        return embedded(of.number, a_message(of.message_type, random, depth - 1) if depth else b"")
    if of.type in LENGTHS:
        return embedded(
            of.number, random.choice(TEXTS) if random.random() < 0.7 else random.randbytes(random.randrange(40))
        )
    if of.type in FIXED:
        kind, form = FIXED[of.type]
        value = random.choice(FLOATS) if form[1] in "df" else random.getrandbits(32)
        return varint(of.number << 3 | kind) + struct.pack(form, value)
    return varint(of.number << 3) + varint(random.choice(NUMBERS) if random.random() < 0.7 else random.getrandbits(64))


def a_message(of: Any, random: Random, depth: int = 3) -> bytes:
    """Some fields of the descriptor *of*, in any order, at times twice, at times one that nobody knows."""
    known = list(of.fields)
    parts = [a_field(random.choice(known), random, depth) for _ in range(random.randrange(4) if known else 0)]
    if random.random() < 0.1:
        parts.append(embedded(UNKNOWN, b"newer"))
    return b"".join(parts)


def embedded(number: int, value: bytes) -> bytes:
    """A field that holds bytes."""
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value: int) -> bytes:
    """A number as protobuf writes it."""
    return protobuf_fields._encode(value)
