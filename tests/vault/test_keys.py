"""Keys: their forms, what is derived from them, and that nothing shows them."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zapwire.vault.columns import Columns
from zapwire.vault.keys import Damaged, KeyFormatError, KeyRing, MasterKey, Subkeys

SECRET = bytes(range(32))
KEY = MasterKey(SECRET)


@pytest.mark.parametrize(
    "text", [SECRET, SECRET.hex().encode(), base64.b64encode(SECRET), b"# old\n\n " + SECRET.hex().encode() + b" \n"]
)
def test_forms_of_a_key(text: bytes):
    assert list(KeyRing.parse(text)) == [KEY]


@pytest.mark.parametrize("text", [b"", b"# none\n", b"abc", SECRET.hex().encode()[:-2], b"\xff" * 31, b"password" * 8])
def test_what_is_no_key(text: bytes):
    with pytest.raises(KeyFormatError) as error:
        KeyRing.parse(text)
    assert "password" not in str(error.value)


def test_the_first_of_several_keys_seals():
    other = MasterKey.generate()
    ring = KeyRing.parse(KeyRing(other, KEY).text().encode())
    assert (ring.sealing, list(ring)) == (other, [other, KEY])


def test_nothing_shows_a_key():
    shown = f"{KEY!r} {KEY} {KeyRing(KEY)!r} {KEY.fingerprint} {KEY.__slots__}"
    assert SECRET.hex() not in shown
    assert len(KEY.fingerprint) == 8


@given(st.binary(), st.binary(), st.binary())
def test_sealed_opens_only_with_what_it_was_bound_to(plain: bytes, about: bytes, other: bytes):
    subkeys, again = Subkeys(SECRET), Subkeys(SECRET)  # another run: another subkey
    sealed = subkeys.seal(plain, about)
    assert again.unseal(sealed, about) == plain
    if other != about:
        with pytest.raises(Damaged):
            again.unseal(sealed, other)


@given(st.binary(max_size=80), st.data())
def test_a_flipped_bit_does_not_open(plain: bytes, data: st.DataObject):
    sealed = bytearray(Subkeys(SECRET).seal(plain, b"x"))
    place = data.draw(st.integers(0, 8 * len(sealed) - 1))
    sealed[place // 8] ^= 1 << place % 8
    with pytest.raises(Damaged):
        Subkeys(SECRET).unseal(bytes(sealed), b"x")


@given(st.binary(max_size=40))
def test_what_was_never_sealed_does_not_open(junk: bytes):
    with pytest.raises(Damaged):
        Subkeys(SECRET).unseal(junk, b"x")


@given(st.text(), st.text(min_size=1))
def test_columns(text: str, found: str):
    columns, again = Columns(KEY, b"s" * 16), Columns(KEY, b"s" * 16)
    assert again.unseal("t.c", "1", columns.seal("t.c", "1", text)) == text
    assert columns.veil("t.c", found) == again.veil("t.c", found)
    assert again.unveil("t.c", columns.veil("t.c", found)) == found
    for wrong in (Columns(MasterKey.generate(), b"s" * 16), Columns(KEY, b"t" * 16)):
        with pytest.raises(Damaged):
            wrong.unseal("t.c", "1", columns.seal("t.c", "1", text))
        with pytest.raises(Damaged):
            wrong.unveil("t.c", columns.veil("t.c", found))
    for place, row in (("t.d", "1"), ("t.c", "2")):
        with pytest.raises(Damaged):
            columns.unseal(place, row, columns.seal("t.c", "1", text))
    with pytest.raises(Damaged):
        columns.unveil("t.d", columns.veil("t.c", found))


def test_a_verifier_tells_the_right_key():
    columns = Columns(KEY, b"s" * 16)
    assert Columns(KEY, b"s" * 16).opens(columns.verifier())
    assert not Columns(MasterKey.generate(), b"s" * 16).opens(columns.verifier())
    assert not columns.opens(b"junk")
