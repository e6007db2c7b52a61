"""Whatever bytes a stranger puts into whichever field, at any depth: a message is told, as JSON, and breaks nothing."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.any_protobuf import a_field, a_message, embedded
from tests.transport.inbound.test_decode import OWN, event
from zapwire.core.events import serializers
from zapwire.model import timestamps
from zapwire.transport.protocol import Receipt, Received, Withheld
from zapwire.transport.whatsapp_web.content import decoders
from zapwire.transport.whatsapp_web.engine import event_codes
from zapwire.transport.whatsapp_web.engine.protos import e2e, neonize
from zapwire.transport.whatsapp_web.inbound import decode


def told(event: Received | Withheld | Receipt | None) -> dict[str, Any] | None:
    """As it is told to everybody: strictly JSON, and what the database takes."""
    if event is None or isinstance(event, Receipt):
        return None
    one = event.message
    found = serializers.message_json(one) if isinstance(event, Received) else serializers.undecryptable_json(one)
    text = json.dumps(found, ensure_ascii=False, allow_nan=False)
    text.encode()
    assert json.loads(text) == found
    if one.timestamp is not None:
        assert 0 <= timestamps.to_ms(one.timestamp) < 2**63
    assert one.push_name is None or isinstance(one.push_name, str)
    return found


def whole(content: bytes, info: bytes | None = None) -> bytes:
    info = event(e2e.Message()).Info.SerializeToString() if info is None else info
    return embedded(1, info) + embedded(2, content)


FIELDS = list(e2e.Message.DESCRIPTOR.fields)
SILENT = {*decoders.CARRIERS, "protocolMessage"}
"""What is for the account's devices, or belongs to another field."""


@pytest.mark.parametrize("of", FIELDS, ids=lambda of: of.name)
@settings(max_examples=15, deadline=None)
@given(random=st.randoms(use_true_random=False))
def test_every_kind_of_content_is_told_whatever_is_in_it(of: Any, random: Random):
    content = a_field(of, random)
    found = told(decode.read_event(event_codes.MESSAGE, whole(content), OWN))
    if of.name not in SILENT and not hides_protocol(content):
        assert found is not None, "it is lost"


EVENTS = [
    (event_codes.MESSAGE, neonize.Message),
    (event_codes.UNDECRYPTABLE, neonize.UndecryptableMessage),
    (event_codes.RECEIPT, neonize.Receipt),
]


def hides_protocol(content: bytes) -> bool:
    """Is what is in the wrappers only for the account's devices, or nothing at all?"""
    message = e2e.Message.FromString(content)
    while True:
        fields = [(field, value) for field, value in message.ListFields() if field.name not in decoders.CARRIERS]
        if not fields or message.HasField("protocolMessage"):
            return True
        wrapper = fields[0][1]
        if getattr(wrapper, "DESCRIPTOR", None) is None or wrapper.DESCRIPTOR.name != "FutureProofMessage":
            return False
        if not wrapper.HasField("message"):
            return False
        message = wrapper.message


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(EVENTS), st.randoms(use_true_random=False))
def test_any_event_of_the_engine_is_read(event: tuple[int, Any], random: Random):
    code, of = event
    raw = a_message(of.DESCRIPTOR, random, 5)
    told(decode.read_event(code, decode.without_copy(raw), OWN))
    broken = decode.broken(code, raw, OWN)
    if broken is not None:
        told(Withheld(broken))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_bytes_that_are_no_protobuf_are_told_too(content: bytes, info: bytes):
    for raw in (content, whole(content), whole(content, info)):
        assert told(decode.read_event(event_codes.UNDECRYPTABLE, raw, OWN)) is not None
        decode.without_copy(raw)
        decode.id_of(raw)
        told(decode.read_event(event_codes.MESSAGE, raw, OWN))
