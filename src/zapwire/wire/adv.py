"""The signatures that make a device a companion of an account (WhatsApp calls them ADV), of both sides.

Protocol source: whatsmeow's pair.go, which holds the companion's half; the list of key indexes: WhatsApp Web's modules
`WAWebAdvSignatureConstants` and `WAWebAdvKeyIndexSignatureVerify`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from google.protobuf.message import DecodeError
from neonize.proto.waAdv.WAAdv_pb2 import (
    HOSTED,
    ADVDeviceIdentity,
    ADVKeyIndexList,
    ADVSignedDeviceIdentity,
    ADVSignedDeviceIdentityHMAC,
    ADVSignedKeyIndexList,
)

from zapwire.wire.curve import KeyPair, verify

ACCOUNT_SIGNATURE = b"\x06\x00"
DEVICE_SIGNATURE = b"\x06\x01"
KEY_INDEX_LIST_SIGNATURE = b"\x06\x02"
HOSTED_ACCOUNT_SIGNATURE = b"\x06\x05"
"""Of an account whose companion is kept by WhatsApp; stands before what is authenticated, too."""

_KEY_SIZE = 32
_SIGNATURE_SIZE = 64


class NotOurs(Exception):
    """What a phone signed is not for this companion, or not signed at all."""


@dataclass(frozen=True, slots=True)
class QrText:
    """What a companion shows as QR code."""

    ref: str
    noise_public: bytes
    identity_public: bytes
    adv_secret: bytes
    platform: str = ""


def parse_qr(text: str) -> QrText:
    """Read `ref,noise,identity,secret[,platform]`, with or without a URL and `#` before it; raises ValueError."""
    parts = text.strip().rpartition("#")[2].split(",")
    if len(parts) not in {4, 5} or not parts[0]:
        message = "a pairing QR code has four or five parts separated by commas"
        raise ValueError(message)
    noise, identity, secret = (_key(part) for part in parts[1:4])
    return QrText(parts[0], noise, identity, secret, parts[4] if len(parts) == 5 else "")


def _key(text: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        message = "a key in the pairing QR code is not base64"
        raise ValueError(message) from error
    if len(key) != _KEY_SIZE:
        message = f"a key in the pairing QR code has {len(key)} bytes instead of {_KEY_SIZE}"
        raise ValueError(message)
    return key


def sign_device(account: KeyPair, companion_identity: bytes, *, raw_id: int, key_index: int, timestamp: int) -> bytes:
    """The phone's ADVSignedDeviceIdentity: *companion_identity* is device *key_index* of this account."""
    details = ADVDeviceIdentity(rawID=raw_id, timestamp=timestamp, keyIndex=key_index).SerializeToString()
    signed = ADVSignedDeviceIdentity(
        details=details,
        accountSignatureKey=account.public,
        accountSignature=account.sign(ACCOUNT_SIGNATURE + details + companion_identity),
    )
    return bytes(signed.SerializeToString())


def seal_identity(signed_identity: bytes, adv_secret: bytes) -> bytes:
    """The container that `<pair-success>` carries; the HMAC proves that the phone saw the companion's secret."""
    mac = hmac.digest(adv_secret, signed_identity, hashlib.sha256)
    return bytes(ADVSignedDeviceIdentityHMAC(details=signed_identity, HMAC=mac).SerializeToString())


def identity_container(
    account: KeyPair, companion_identity: bytes, adv_secret: bytes, *, raw_id: int, key_index: int, timestamp: int
) -> bytes:
    """`sign_device` and `seal_identity` in one step: all that a phone does to pair."""
    signed = sign_device(account, companion_identity, raw_id=raw_id, key_index=key_index, timestamp=timestamp)
    return seal_identity(signed, adv_secret)


def sign_key_indexes(account: KeyPair, indexes: Iterable[int], *, raw_id: int, timestamp: int) -> bytes:
    """The phone's ADVSignedKeyIndexList: the companions with these key indexes are of this account, older ones not."""
    valid = sorted(indexes)
    details = ADVKeyIndexList(
        rawID=raw_id, timestamp=timestamp, currentIndex=max(valid, default=0), validIndexes=valid
    ).SerializeToString()
    signature = account.sign(KEY_INDEX_LIST_SIGNATURE + details)
    return bytes(ADVSignedKeyIndexList(details=details, accountSignature=signature).SerializeToString())


def account_key_of(container: bytes) -> bytes:
    """The account's identity key inside a container made by `seal_identity`."""
    signed = ADVSignedDeviceIdentity.FromString(ADVSignedDeviceIdentityHMAC.FromString(container).details)
    return bytes(signed.accountSignatureKey)


def verify_companion(device_identity: bytes, companion_identity: bytes, account_identity: bytes) -> bool:
    """Whether both signatures of a companion's ADVSignedDeviceIdentity hold.

    A companion sends it without the account's key (in `<pair-device-sign>`) or with it (beside its messages).
    """
    signed = ADVSignedDeviceIdentity.FromString(device_identity)
    if signed.accountSignatureKey and signed.accountSignatureKey != account_identity:
        return False
    subject = signed.details + companion_identity
    return verify(account_identity, ACCOUNT_SIGNATURE + subject, signed.accountSignature) and verify(
        companion_identity, DEVICE_SIGNATURE + subject + account_identity, signed.deviceSignature
    )


@dataclass(frozen=True, slots=True)
class CompanionIdentity:
    """A companion's signed identity, by its parts; what it keeps for as long as it is linked."""

    details: bytes
    account_key: bytes
    account_signature: bytes
    device_signature: bytes
    key_index: int

    @property
    def for_server(self) -> bytes:
        """The ADVSignedDeviceIdentity of `<pair-device-sign>`: without the account's key."""
        signed = ADVSignedDeviceIdentity(
            details=self.details, accountSignature=self.account_signature, deviceSignature=self.device_signature
        )
        return bytes(signed.SerializeToString())


def accept_identity(container: bytes, adv_secret: bytes, identity: KeyPair) -> CompanionIdentity:
    """The companion's side: check what `<pair-success>` brings, and sign it. Raises `NotOurs`."""
    try:
        outer = ADVSignedDeviceIdentityHMAC.FromString(container)
        signed = ADVSignedDeviceIdentity.FromString(outer.details)
        details = ADVDeviceIdentity.FromString(signed.details)
    except DecodeError as error:
        raise NotOurs("the signed identity cannot be read") from error
    hosted = outer.accountType == HOSTED
    mac = hmac.digest(adv_secret, (HOSTED_ACCOUNT_SIGNATURE if hosted else b"") + outer.details, hashlib.sha256)
    if not hmac.compare_digest(mac, outer.HMAC):
        raise NotOurs("the phone did not see this companion's secret")
    account_key, signature = signed.accountSignatureKey, signed.accountSignature
    if len(account_key) != _KEY_SIZE or len(signature) != _SIGNATURE_SIZE:
        raise NotOurs("the account's key or signature has a wrong size")
    prefix = HOSTED_ACCOUNT_SIGNATURE if hosted or details.deviceType == HOSTED else ACCOUNT_SIGNATURE
    if not verify(account_key, prefix + signed.details + identity.public, signature):
        raise NotOurs("the account's signature does not hold")
    ours = identity.sign(DEVICE_SIGNATURE + signed.details + identity.public + account_key)
    return CompanionIdentity(signed.details, account_key, signature, ours, details.keyIndex)


def with_account_key(device_identity: bytes, account_identity: bytes) -> bytes:
    """The same ADVSignedDeviceIdentity with the account's key written in, the form in which others receive it."""
    signed = ADVSignedDeviceIdentity.FromString(device_identity)
    signed.accountSignatureKey = account_identity
    return bytes(signed.SerializeToString())
