from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.runtime.json_encoder import encode, valid, valid_text

_TEXTS = st.text(st.characters(codec=None, exclude_categories=()))
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXTS,
    lambda inner: st.lists(inner) | st.dictionaries(_TEXTS, inner),
)


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


@given(_VALUES)
def test_whatever_is_encoded_is_valid_json_in_valid_utf_8(value: object) -> None:
    json.loads(encode(value).encode(), parse_constant=_refuse)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"latitude": float("nan"), "longitude": float("-inf")}, '{"latitude":null,"longitude":null}'),
        ({"text": "see you \ud83d"}, '{"text":"see you \ufffd"}'),
        ({"\udc00": [1.5, "\U0001f44b"]}, '{"\ufffd":[1.5,"\U0001f44b"]}'),
        ((1, True, None), "[1,true,null]"),
    ],
)
def test_what_json_does_not_know(value: object, text: str) -> None:
    assert encode(value) == text


def test_bytes_that_protobuf_gives_for_a_string_become_text() -> None:
    assert valid({"name": b"Jo\xc3", b"\xff": [b"ok"]}) == {"name": "Jo\ufffd", "\ufffd": ["ok"]}


def test_whole_pairs_of_surrogates_become_their_character() -> None:
    assert valid_text("\ud83d\udc4b") == "\U0001f44b"
