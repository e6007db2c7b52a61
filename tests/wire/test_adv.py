"""The signatures of a pairing, the phone's and the companion's."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zapwire.neonize_protos  # noqa: F401

# isort: split
from neonize.proto.waAdv.WAAdv_pb2 import (
    ADVDeviceIdentity,
    ADVEncryptionType,
    ADVSignedDeviceIdentity,
    ADVSignedDeviceIdentityHMAC,
)

from zapwire.wire import adv
from zapwire.wire.curve import KeyPair, from_wire, to_wire, verify

COMPANION = KeyPair.generate()


def encode(key: bytes) -> str:
    return base64.b64encode(key).decode()


@pytest.mark.parametrize("prefix", ["", "https://wa.me/settings/linked_devices#"])
@pytest.mark.parametrize("suffix", ["", ",1"])
def test_qr_text_is_read_with_and_without_url_and_platform(prefix: str, suffix: str):
    keys = [bytes([n]) * 32 for n in range(3)]
    code = adv.parse_qr(f"{prefix}2@ref,{','.join(map(encode, keys))}{suffix}\n")
    assert code == adv.QrText("2@ref", *keys, suffix.strip(","))


@pytest.mark.parametrize("text", ["", "a,b,c", ",QQ==,QQ==,QQ==", "ref,QQ==,QQ==,QQ==", "ref,!,!,!", "1,2,3,4,5,6"])
def test_what_is_no_pairing_code_is_refused(text: str):
    with pytest.raises(ValueError, match="pairing QR code"):
        adv.parse_qr(text)


def test_a_companion_accepts_the_container_and_its_answer_verifies():
    account, companion, secret = KeyPair.generate(), KeyPair.generate(), b"s" * 32
    container = adv.identity_container(account, companion.public, secret, raw_id=7, key_index=2, timestamp=1000)
    outer = ADVSignedDeviceIdentityHMAC.FromString(container)
    assert adv.seal_identity(outer.details, secret) == container
    assert adv.account_key_of(container) == account.public

    signed = ADVSignedDeviceIdentity.FromString(outer.details)
    subject = signed.details + companion.public
    assert verify(account.public, b"\x06\x00" + subject, signed.accountSignature)
    signed.deviceSignature = companion.sign(b"\x06\x01" + subject + account.public)
    full = signed.SerializeToString()
    signed.ClearField("accountSignatureKey")
    assert adv.verify_companion(signed.SerializeToString(), companion.public, account.public)
    assert adv.verify_companion(full, companion.public, account.public)
    assert adv.with_account_key(signed.SerializeToString(), account.public) == full
    assert not adv.verify_companion(full, companion.public, KeyPair.generate().public)
    assert not adv.verify_companion(full, KeyPair.generate().public, account.public)


def test_signatures_have_no_sign_bit_and_notice_changes():
    pair = KeyPair.generate()
    for number in range(8):
        signature = pair.sign(bytes([number]))
        assert not signature[63] & 0x80
        assert verify(pair.public, bytes([number]), signature)
        assert not verify(pair.public, b"other", signature)
    assert not verify(pair.public, b"", b"short")


def test_both_sides_agree_and_wire_keys_have_33_bytes():
    one, two = KeyPair.generate(), KeyPair.generate()
    assert one.agree(two.public) == two.agree(one.public)
    assert from_wire(to_wire(one.public)) == one.public
    with pytest.raises(ValueError, match="33-byte"):
        from_wire(one.public)
    with pytest.raises(ValueError, match="cannot be used"):
        one.agree(bytes(32))


def container(secret: bytes, companion: KeyPair, *, hosted: bool, account: KeyPair) -> bytes:
    """As a phone makes it; *hosted*: of an account whose companion WhatsApp keeps."""
    kind = ADVEncryptionType.Value("HOSTED" if hosted else "E2EE")
    details = ADVDeviceIdentity(rawID=1, timestamp=2, keyIndex=5, deviceType=kind).SerializeToString()
    prefix = b"\x06\x05" if hosted else b"\x06\x00"
    signed = ADVSignedDeviceIdentity(
        details=details,
        accountSignatureKey=account.public,
        accountSignature=account.sign(prefix + details + companion.public),
    ).SerializeToString()
    mac = hmac.digest(secret, (prefix if hosted else b"") + signed, "sha256")
    return bytes(ADVSignedDeviceIdentityHMAC(details=signed, HMAC=mac, accountType=kind).SerializeToString())


@pytest.mark.parametrize("hosted", [False, True])
def test_a_companion_takes_what_the_phone_signed_for_it_and_signs(hosted: bool) -> None:
    account, companion, secret = KeyPair.generate(), KeyPair.generate(), b"s" * 32
    made = container(secret, companion, hosted=hosted, account=account)
    identity = adv.accept_identity(made, secret, companion)
    assert (identity.account_key, identity.key_index) == (account.public, 5)
    subject = b"\x06\x01" + identity.details + companion.public + account.public
    assert verify(companion.public, subject, identity.device_signature)
    if not hosted:
        assert adv.verify_companion(identity.for_server, companion.public, account.public)
    assert account.public not in identity.for_server
    for wrong in (KeyPair.generate(), b"t" * 32):
        with pytest.raises(adv.NotOurs):
            adv.accept_identity(
                made, wrong if isinstance(wrong, bytes) else secret, companion if isinstance(wrong, bytes) else wrong
            )


@given(st.binary(max_size=300))
def test_nothing_else_is_taken_for_a_signed_identity(data: bytes) -> None:
    with pytest.raises(adv.NotOurs):
        adv.accept_identity(data, b"s" * 32, COMPANION)
