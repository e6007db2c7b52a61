"""The messages and keys of a pairing with a passkey."""

import hashlib
import hmac

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from zapwire.wire import link_code, passkey
from zapwire.wire.curve import KeyPair
from zapwire.wire.passkey import Companion, PasskeyError, Primary, Request

NONCE = bytes(range(32))


def test_both_sides_come_to_the_same_key_and_the_request_opens():
    ours, theirs = KeyPair.generate(), KeyPair.generate()
    sent = Request(b"n" * 32, b"i" * 32, b"s" * 32)
    sealed = sent.seal(passkey.request_key(ours, theirs.public, 0, "ref"))
    assert Request.open(passkey.request_key(theirs, ours.public, 0, "ref"), sealed) == sent
    for device_type, ref in [(1, "ref"), (0, "other")]:
        with pytest.raises(PasskeyError):
            Request.open(passkey.request_key(theirs, ours.public, device_type, ref), sealed)


def test_the_request_key_is_hkdf_under_the_names_of_both():
    ours, theirs = KeyPair.generate(), KeyPair.generate()
    expected = HKDF(SHA256(), 32, b"Companion Pairing 7 with ref 2@abc", b"Pairing Information Encryption Key")
    assert passkey.request_key(ours, theirs.public, 7, "2@abc") == expected.derive(ours.agree(theirs.public))


def test_the_handoff_is_bound_to_the_scanned_secret():
    key = passkey.handoff_key(b"s" * 32)
    assert key == HKDF(SHA256(), 32, None, b"shortcake-passkey-handoff-v1").derive(b"s" * 32)
    assert passkey.handoff_proof(key, b"prologue") == hmac.digest(key, b"prologue", "sha256")


def test_a_prologue_commits_to_identity_and_nonce():
    companion = Companion(b"k" * 32, 0, "2@ref")
    found, committed = passkey.read_prologue(passkey.encode_prologue(companion, NONCE))
    assert found == companion
    assert committed == hashlib.sha256(found.encode() + NONCE).digest() == passkey.commitment(found.encode(), NONCE)
    assert committed != passkey.commitment(found.encode(), NONCE[::-1])


def test_the_code_depends_on_both_nonces_and_the_phones_key():
    primary = Primary(b"p" * 32, b"\x00" * 32)
    code = passkey.verification_code(NONCE, primary)
    number = int.from_bytes(hashlib.sha256(NONCE + b"p" * 32).digest()[:5], "big")
    plain = code.replace("-", "")
    assert len(code) == 9
    assert sum(link_code.ALPHABET.index(c) << 5 * place for place, c in enumerate(reversed(plain))) == number
    others = {
        passkey.verification_code(NONCE[::-1], primary),
        passkey.verification_code(NONCE, Primary(b"q" * 32, primary.nonce)),
        passkey.verification_code(NONCE, Primary(primary.public, b"\x01" * 32)),
    }
    assert code not in others
    assert len(others) == 3


@given(st.binary(max_size=120))
def test_what_strangers_send_is_refused_or_read(data: bytes):
    for read in (Primary.read, passkey.read_prologue, lambda sealed: Request.open(b"k" * 32, sealed)):
        try:
            read(data)
        except PasskeyError:
            continue


def test_keys_of_another_size_and_of_low_order_are_refused():
    with pytest.raises(PasskeyError):
        Primary.read(Primary(b"short", NONCE).encode())
    with pytest.raises(PasskeyError):
        passkey.read_prologue(passkey.encode_prologue(Companion(b"short", 0, "ref"), NONCE))
    with pytest.raises(PasskeyError):
        passkey.request_key(KeyPair.generate(), bytes(32), 0, "ref")
    assert Primary.read(Primary(b"p" * 32, NONCE).encode()) == Primary(b"p" * 32, NONCE)
