"""Why WhatsApp ended a pairing, from any stanza that says it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.model.errors import Blocked, Condition, LoggedOut, TransportError, ZapwireError
from zapwire.transport.whatsapp_web.pairing.own import refusals
from zapwire.transport.whatsapp_web.pairing.own.codes import is_ref
from zapwire.wire.node import Node


@pytest.mark.parametrize(
    ("attrs", "kind", "condition", "words"),
    [
        ({"reason": "401"}, LoggedOut, Condition.LOGGED_OUT, "logged this device out"),
        (
            {"reason": "402", "code": "101", "expire": "3600"},
            Blocked,
            Condition.BANNED,
            "for 1:00:00: it sent too many",
        ),
        ({"reason": "403"}, LoggedOut, Condition.LOCKED, "locked"),
        ({"reason": "405"}, Blocked, Condition.OUTDATED, "no longer accepts this version"),
        ({"reason": "463"}, Blocked, Condition.LOCKED, "463"),
        ({"reason": "503"}, TransportError, Condition.BUSY, "503"),
        ({"reason": "none"}, Blocked, Condition.REFUSED, "without a reason"),
        ({}, Blocked, Condition.REFUSED, "without a reason"),
    ],
)
def test_a_failure_has_the_words_that_it_has_at_a_login(
    attrs: dict[str, str], kind: type[ZapwireError], condition: Condition, words: str
) -> None:
    error = refusals.of_failure(Node("failure", dict(attrs)))
    assert isinstance(error, kind)
    assert getattr(error, "condition", None) is condition
    assert words in error.detail


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (Node("stream:error", {"code": "503"}), TransportError, "503"),
        (Node("stream:error", {"code": "515"}), TransportError, "stream error 515"),
        (Node("stream:error", {}, [Node("conflict", {"type": "replaced"})]), Blocked, "another program"),
        (Node("stream:error", {}, [Node("conflict", {"type": "device_removed"})]), LoggedOut, "removed this device"),
        (Node("stream:error", {}, [Node("xml-not-well-formed")]), TransportError, "without a code"),
    ],
)
def test_a_stream_error_has_words(error: Node, kind: type[ZapwireError], words: str) -> None:
    told = refusals.of_stream_error(error)
    assert isinstance(told, kind)
    assert words in told.detail


@given(st.dictionaries(st.sampled_from(["reason", "code", "expire", "type"]), st.text(max_size=30)))
def test_no_attributes_break_it(attrs: dict[str, str]) -> None:
    for told in (refusals.of_failure(Node("failure", dict(attrs))), refusals.of_stream_error(Node("x", dict(attrs)))):
        assert told.detail


@pytest.mark.parametrize("ref", [b"", b"x" * 513, b"a,b", b"a b", "\u00e9".encode(), b"\xff", b"a\n"])
def test_a_reference_that_no_qr_code_can_hold_is_none(ref: bytes) -> None:
    assert not is_ref(ref)
    assert is_ref(b"2@abc+/=_-")
