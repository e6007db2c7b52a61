"""What both sides of a pairing with a passkey compute, after the scan or the typed code.

Protocol source: whatsmeow's pair-passkey.go (the companion's half); the stanzas around it are in
`transport/whatsapp_web/pairing` and `sandbox/server`. The companion commits to its ephemeral key and nonce first, the
phone answers with its own, and only then the companion shows its nonce: so nobody in between can choose keys for which
both sides show the same verification code.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

import zapwire.neonize_protos  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waCompanionReg.WACompanionReg_pb2 import (
    CompanionCommitment,
    CompanionEphemeralIdentity,
    EncryptedPairingRequest,
    PairingRequest,
    PrimaryEphemeralIdentity,
    ProloguePayload,
)

from zapwire.wire.curve import KeyPair
from zapwire.wire.kdf import hkdf, hmac_sha256
from zapwire.wire.link_code import CODE_BYTES, to_text

KEY: Final = 32
NONCE: Final = 32
_IV: Final = 12


class PasskeyError(ValueError):
    """What the other side sent is none of these messages, or was not made for this pairing."""


@dataclass(frozen=True, slots=True)
class Companion:
    """The companion's ephemeral identity: what it commits to."""

    public: bytes
    """X25519, 32 bytes."""
    device_type: int
    """A `DeviceProps.PlatformType`."""
    ref: str

    def encode(self) -> bytes:
        """As protobuf: the bytes that are committed to."""
        message = CompanionEphemeralIdentity(publicKey=self.public, deviceType=self.device_type, ref=self.ref)
        return bytes(message.SerializeToString())


@dataclass(frozen=True, slots=True)
class Primary:
    """The phone's ephemeral identity."""

    public: bytes
    nonce: bytes

    def encode(self) -> bytes:
        """As protobuf."""
        return bytes(PrimaryEphemeralIdentity(publicKey=self.public, nonce=self.nonce).SerializeToString())

    @classmethod
    def read(cls, data: bytes) -> Primary:
        """The reverse. Raises `PasskeyError`."""
        try:
            found = PrimaryEphemeralIdentity.FromString(data)
        except DecodeError:
            raise PasskeyError("the phone's ephemeral identity cannot be read") from None
        if len(found.publicKey) != KEY or len(found.nonce) != NONCE:
            raise PasskeyError("the phone's ephemeral identity has a key or a nonce of another size")
        return cls(found.publicKey, found.nonce)


def handoff_key(adv_secret: bytes) -> bytes:
    """The key of the proof that the pairing goes on from the scan, from the secret that the phone scanned or was typed
    there; a new secret takes its place.
    """
    return hkdf(adv_secret, info=b"shortcake-passkey-handoff-v1", length=KEY)


def handoff_proof(key: bytes, prologue: bytes) -> bytes:
    """That the sender of *prologue* has what the phone scanned."""
    return hmac_sha256(key, prologue)


def commitment(identity: bytes, nonce: bytes) -> bytes:
    """What binds the companion to its encoded *identity* and its *nonce* before it shows the nonce."""
    return hashlib.sha256(identity + nonce).digest()


def encode_prologue(companion: Companion, nonce: bytes) -> bytes:
    """What the companion sends with the passkey's answer."""
    identity = companion.encode()
    committed = CompanionCommitment(hash=commitment(identity, nonce))
    return bytes(ProloguePayload(companionEphemeralIdentity=identity, commitment=committed).SerializeToString())


def read_prologue(data: bytes) -> tuple[Companion, bytes]:
    """The companion's identity and its commitment. Raises `PasskeyError`."""
    try:
        found = ProloguePayload.FromString(data)
        identity = CompanionEphemeralIdentity.FromString(found.companionEphemeralIdentity)
    except DecodeError:
        raise PasskeyError("the prologue cannot be read") from None
    if len(identity.publicKey) != KEY:
        raise PasskeyError("the prologue has a key of another size")
    companion = Companion(identity.publicKey, identity.deviceType, identity.ref)
    if companion.encode() != found.companionEphemeralIdentity:
        raise PasskeyError("the prologue's identity holds more than is known here")
    return companion, found.commitment.hash


def verification_code(companion_nonce: bytes, primary: Primary) -> str:
    """What both sides show, `XXXX-XXXX`: equal when both know the same keys and nonces."""
    digest = hashlib.sha256(companion_nonce + primary.public).digest()
    mixed = bytes(a ^ b for a, b in zip(primary.nonce[:CODE_BYTES], digest[:CODE_BYTES], strict=True))
    return to_text(mixed)


def request_key(own: KeyPair, their_public: bytes, device_type: int, ref: str) -> bytes:
    """The key of the pairing request, from the ephemeral keys of both. Raises `PasskeyError` on a key of low order."""
    try:
        shared = own.agree(their_public)
    except ValueError:
        raise PasskeyError("the other side's ephemeral key cannot be used") from None
    salt = f"Companion Pairing {device_type} with ref {ref}".encode()
    return hkdf(shared, salt=salt, info=b"Pairing Information Encryption Key", length=KEY)


@dataclass(frozen=True, slots=True)
class Request:
    """What the phone needs to sign the companion: as the QR code holds it, under the new secret."""

    noise_public: bytes
    identity_public: bytes
    adv_secret: bytes

    def seal(self, key: bytes) -> bytes:
        """Encrypted, as it is sent."""
        inner = PairingRequest(
            companionPublicKey=self.noise_public,
            companionIdentityKey=self.identity_public,
            advSecret=self.adv_secret,
        )
        iv = secrets.token_bytes(_IV)
        sealed = AESGCM(key).encrypt(iv, inner.SerializeToString(), None)
        return bytes(EncryptedPairingRequest(encryptedPayload=sealed, IV=iv).SerializeToString())

    @classmethod
    def open(cls, key: bytes, data: bytes) -> Request:
        """The reverse. Raises `PasskeyError`."""
        try:
            outer = EncryptedPairingRequest.FromString(data)
            inner = PairingRequest.FromString(AESGCM(key).decrypt(outer.IV, outer.encryptedPayload, None))
        except (DecodeError, InvalidTag, ValueError):
            raise PasskeyError("the pairing request was not made for this pairing") from None
        found = (inner.companionPublicKey, inner.companionIdentityKey, inner.advSecret)
        if any(len(part) != KEY for part in found):
            raise PasskeyError("the pairing request has a key of another size")
        return cls(*found)
