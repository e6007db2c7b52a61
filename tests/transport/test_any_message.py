"""Whatever bytes a stranger puts into whichever field, at any depth: a message is told, as JSON, and breaks nothing."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.transport.test_messages import OWN, event
from zapwire.core import codec
from zapwire.store import times
from zapwire.transport.base import Receipt, Received, Withheld
from zapwire.transport.whatsapp_web import codes, contents, messages, wire
from zapwire.transport.whatsapp_web.protos import e2e, neonize

DEPTH = 3
BYTES = st.one_of(
    st.binary(max_size=12),
    st.sampled_from([b"hi \xf0\x9f\x8e", b"\xff", b"\xed\xa0\xbd", b"\x00", b"a\nb", "\u202e\U0001f600".encode()]),
)
FLOATS = st.sampled_from([0.0, 1.5, -1e308, float("nan"), float("inf"), -float("inf")])
NUMBERS = st.one_of(st.integers(0, 2**64 - 1), st.sampled_from([0, 1, 2**31, 2**53, 2**63, 2**64 - 1]))
LENGTHS = {FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES}
FIXED = {
    FieldDescriptor.TYPE_DOUBLE: (1, "<d"),
    FieldDescriptor.TYPE_FLOAT: (5, "<f"),
    FieldDescriptor.TYPE_FIXED64: (1, "<Q"),
    FieldDescriptor.TYPE_SFIXED64: (1, "<Q"),
    FieldDescriptor.TYPE_FIXED32: (5, "<L"),
    FieldDescriptor.TYPE_SFIXED32: (5, "<L"),
}


def varint(value: int) -> bytes:
    return wire._encode(value)


@st.composite
def field(draw: st.DrawFn, of: Any, depth: int = DEPTH) -> bytes:
    """One field with any value of its type."""
    tag = of.number << 3
    if of.type == FieldDescriptor.TYPE_MESSAGE:
        value = draw(message(of.message_type, depth - 1)) if depth else b""
        return varint(tag | 2) + varint(len(value)) + value
    if of.type in LENGTHS:
        value = draw(BYTES)
        return varint(tag | 2) + varint(len(value)) + value
    if of.type in FIXED:
        kind, form = FIXED[of.type]
        number = draw(FLOATS if form[1] in "df" else st.integers(0, 2**32 - 1))
        if form == "<f":
            number = number if abs(number) < 1e38 or number != number or number in (1e400, -1e400) else 0.0
        return varint(tag | kind) + struct.pack(form, number)
    return varint(tag) + varint(draw(NUMBERS))


@st.composite
def message(draw: st.DrawFn, of: Any, depth: int = DEPTH) -> bytes:
    """Some fields of a message, in any order, at times twice, at times one that nobody knows."""
    fields = [draw(field(draw(st.sampled_from(list(of.fields))), depth)) for _ in range(draw(st.integers(0, 3)))]
    if of.fields and draw(st.integers(0, 9)) == 0:
        fields.append(wire.text_field(4095, "newer"))
    return b"".join(fields) if of.fields else b""


def told(event: Received | Withheld | Receipt | None) -> dict[str, Any] | None:
    """As it is told to everybody: strictly JSON, and what the database takes."""
    if event is None or isinstance(event, Receipt):
        return None
    one = event.message
    found = codec.message_json(one) if isinstance(event, Received) else codec.undecryptable_json(one)
    text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    text.encode()
    assert json.loads(text) == found
    if one.timestamp is not None:
        assert 0 <= times.to_ms(one.timestamp) < 2**63
    assert one.push_name is None or isinstance(one.push_name, str)
    return found


def whole(content: bytes, info: bytes | None = None) -> bytes:
    info = event(e2e.Message()).Info.SerializeToString() if info is None else info
    return b"\x0a" + varint(len(info)) + info + b"\x12" + varint(len(content)) + content


FIELDS = list(e2e.Message.DESCRIPTOR.fields)
SILENT = {*contents._CARRIERS, "protocolMessage"}
"""What is for the account's devices, or belongs to another field."""


@pytest.mark.parametrize("of", FIELDS, ids=lambda of: of.name)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_kind_of_content_is_told_whatever_is_in_it(of: Any, data: st.DataObject):
    content = data.draw(field(of))
    found = told(messages.read_event(codes.MESSAGE, whole(content), OWN))
    if of.name not in SILENT and not hides_protocol(content):
        assert found is not None, "it is lost"


def hides_protocol(content: bytes) -> bool:
    """Is what is in the wrappers only for the account's devices, or nothing at all?"""
    message = e2e.Message.FromString(content)
    while True:
        fields = [(field, value) for field, value in message.ListFields() if field.name not in contents._CARRIERS]
        if not fields or message.HasField("protocolMessage"):
            return True
        wrapper = fields[0][1]
        if getattr(wrapper, "DESCRIPTOR", None) is None or wrapper.DESCRIPTOR.name != "FutureProofMessage":
            return False
        if not wrapper.HasField("message"):
            return False
        message = wrapper.message


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_event_of_the_engine_is_read(data: st.DataObject):
    code, of = data.draw(
        st.sampled_from(
            [
                (codes.MESSAGE, neonize.Message),
                (codes.UNDECRYPTABLE, neonize.UndecryptableMessage),
                (codes.RECEIPT, neonize.Receipt),
            ]
        )
    )
    raw = data.draw(message(of.DESCRIPTOR, 5))
    told(messages.read_event(code, messages.without_copy(raw), OWN))
    broken = messages.broken(code, raw, OWN)
    if broken is not None:
        told(Withheld(broken))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_bytes_that_are_no_protobuf_are_told_too(content: bytes, info: bytes):
    for raw in (content, whole(content), whole(content, info)):
        assert told(messages.read_event(codes.UNDECRYPTABLE, raw, OWN)) is not None
        messages.without_copy(raw)
        messages.id_of(raw)
        told(messages.read_event(codes.MESSAGE, raw, OWN))
