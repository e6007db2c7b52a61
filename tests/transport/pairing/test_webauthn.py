"""A browser's answer, checked before it goes to WhatsApp: any JSON at all may come."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.model.errors import Conflict, InvalidInput
from zapwire.transport.whatsapp_web.pairing.own import webauthn

QUESTION = {"challenge": "Y2hhbGxlbmdl", "rpId": "whatsapp.com", "userVerification": "required", "timeout": 600000}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def answer(*, flags: int = 5, site: str = "whatsapp.com", **client: Any) -> dict[str, Any]:
    said = {"type": "webauthn.get", "challenge": QUESTION["challenge"], "origin": webauthn.ORIGIN, **client}
    return {
        "id": b64(b"credential"),
        "rawId": b64(b"credential"),
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": {
            "clientDataJSON": b64(json.dumps(said).encode()),
            "authenticatorData": b64(hashlib.sha256(site.encode()).digest() + bytes((flags,)) + bytes(4)),
            "signature": b64(b"signature"),
            "userHandle": None,
        },
    }


def test_what_is_sent_holds_what_whatsapp_wants_and_nothing_else() -> None:
    given_answer = answer()
    sent = webauthn.check(given_answer, QUESTION)
    assert sent.credential_id == b"credential"
    message = json.loads(sent.json)
    assert list(message) == ["id", "rawId", "type", "response"]
    assert list(message["response"]) == ["clientDataJSON", "authenticatorData", "signature", "userHandle"]
    assert message["response"] == given_answer["response"]
    assert b" " not in sent.json


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (answer(origin="https://evil.example"), r"used on https://evil\.example instead"),
        (answer(origin="https://web.whatsapp.com:8443"), "instead of web.whatsapp.com"),
        (answer(origin="x\ny" * 200), "used on another page instead"),
        (answer(origin=7), "used on another page instead"),
        (answer(site="web.whatsapp.com"), "another site"),
        (answer(flags=1), "without PIN, face or finger"),
        (answer(flags=4), "without anybody being there"),
        (answer(type="webauthn.create"), "not what a browser gives"),
        ({**answer(), "type": "password"}, "not what a browser gives"),
        ({**answer(), "response": []}, "not what a browser gives"),
        ({**answer(), "rawId": "a b"}, "no base64url"),
        ({**answer(), "rawId": "x" * 20000}, "no rawId"),
        ({**answer(), "id": None}, "no id"),
        ({}, "not what a browser gives"),
    ],
)
def test_what_cannot_be_right_is_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words) as refused:
        webauthn.check(wrong, QUESTION)
    assert refused.value.field == "answer"


def test_an_answer_to_another_question_is_a_conflict() -> None:
    with pytest.raises(Conflict, match="older question"):
        webauthn.check(answer(challenge=b64(b"another")), QUESTION)


def test_verification_is_wanted_only_where_whatsapp_wants_it() -> None:
    webauthn.check(answer(flags=1), {**QUESTION, "userVerification": "preferred"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


@given(st.dictionaries(st.sampled_from(["id", "rawId", "type", "response"]), JSON), JSON)
def test_no_answer_breaks_it(change: dict[str, Any], inner: Any) -> None:
    for changed in (answer() | change, answer() | {"response": answer()["response"] | {"clientDataJSON": inner}}):
        with contextlib.suppress(InvalidInput, Conflict):
            webauthn.check(changed, QUESTION)


@given(st.binary(max_size=200))
def test_no_client_data_breaks_it(data: bytes) -> None:
    changed = answer()
    changed["response"]["clientDataJSON"] = b64(data)
    with pytest.raises((InvalidInput, Conflict)):
        webauthn.check(changed, QUESTION)
