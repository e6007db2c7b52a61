"""Curve25519 as Signal uses it: agreement, XEdDSA signatures, and the 33-byte public key form."""

from __future__ import annotations

from dataclasses import dataclass

import xeddsa
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

KEY_TYPE = b"\x05"
"""Marks a Curve25519 public key wherever Signal writes 33 bytes."""

_SIGN_BIT = 0x80


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A Curve25519 key pair, 32 bytes each."""

    private: bytes
    public: bytes

    @classmethod
    def generate(cls) -> KeyPair:
        """A fresh random pair."""
        return cls.from_private(X25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def from_private(cls, private: bytes) -> KeyPair:
        """The pair of a known private key."""
        return cls(private, X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw())

    def agree(self, their_public: bytes) -> bytes:
        """The shared secret with the owner of *their_public*; raises ValueError on a key of low order."""
        try:
            return bytes(xeddsa.x25519(self.private, their_public))
        except xeddsa.XEdDSAException as error:
            message = "the other side's public key cannot be used"
            raise ValueError(message) from error

    def sign(self, message: bytes) -> bytes:
        """An XEdDSA signature; the sign bit is forced to 0, which both libsignal families accept."""
        return bytes(xeddsa.ed25519_priv_sign(xeddsa.priv_force_sign(self.private, set_sign_bit=False), message))


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether *signature* is an XEdDSA signature of *message*; the key's sign bit is in the signature's last byte."""
    if len(public) != xeddsa.CURVE_25519_PUB_SIZE or len(signature) != xeddsa.ED_25519_SIGNATURE_SIZE:
        return False
    sign_bit = bool(signature[-1] & _SIGN_BIT)
    plain = signature[:-1] + bytes([signature[-1] & ~_SIGN_BIT])
    return bool(xeddsa.ed25519_verify(plain, xeddsa.curve25519_pub_to_ed25519_pub(public, sign_bit), message))


def to_wire(public: bytes) -> bytes:
    """The 33-byte form."""
    return KEY_TYPE + public


def from_wire(data: bytes) -> bytes:
    """Read the 33-byte form; raises ValueError on anything else."""
    if len(data) != len(KEY_TYPE) + xeddsa.CURVE_25519_PUB_SIZE or data[:1] != KEY_TYPE:
        message = "not a Curve25519 public key in Signal's 33-byte form"
        raise ValueError(message)
    return data[1:]
