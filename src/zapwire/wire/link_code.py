"""Pairing by code ("link with phone number"): the phone's half and the companion's.

Protocol source: whatsmeow's pair-code.go, which holds the companion's half. Both sides make an ephemeral key and send
it encrypted with the code that the person copies from one to the other; the companion then sends its identity under a
key that only the two ephemeral keys give. A wrong code shows when that cannot be decrypted.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from zapwire.wire.curve import KeyPair
from zapwire.wire.kdf import hkdf

SALT: Final = 32
IV: Final = 16
NONCE: Final = 12
KEY: Final = 32
ITERATIONS: Final = 2 << 16
ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
CODE_LENGTH: Final = 8
CODE_BYTES: Final = 5
_BUNDLE: Final = b"link_code_pairing_key_bundle_encryption_key"


class WrongCode(Exception):
    """The code is not the one that the companion shows."""


def normalize(code: str) -> str:
    """The code as its eight characters, without the dash; raises WrongCode when it cannot be one."""
    plain = "".join(code.upper().replace("-", "").split())
    if len(plain) != CODE_LENGTH or not set(plain) <= set(ALPHABET):
        message = "a pairing code has eight letters and digits (no 0, I, O or U)"
        raise WrongCode(message)
    return plain


def _crypt(code: str, salt: bytes, iv: bytes, data: bytes) -> bytes:
    """AES-CTR under a key from the code; the same call encrypts and decrypts. Takes some 50 ms of one core."""
    key = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, ITERATIONS, KEY)
    return Cipher(algorithms.AES(key), modes.CTR(iv)).encryptor().update(data)


def wrap(code: str, public: bytes) -> bytes:
    """An ephemeral public key as it travels: salt, IV, encrypted key."""
    salt, iv = secrets.token_bytes(SALT), secrets.token_bytes(IV)
    return salt + iv + _crypt(code, salt, iv, public)


def unwrap(code: str, wrapped: bytes) -> bytes:
    """The reverse; a wrong code gives a wrong key, not an error."""
    if len(wrapped) != SALT + IV + KEY:
        message = f"a wrapped key has {len(wrapped)} bytes instead of {SALT + IV + KEY}"
        raise WrongCode(message)
    return _crypt(code, wrapped[:SALT], wrapped[SALT : SALT + IV], wrapped[SALT + IV :])


def to_text(data: bytes) -> str:
    """Five bytes as the eight characters of a code, a dash in the middle."""
    number = int.from_bytes(data[:CODE_BYTES], "big")
    plain = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(CODE_LENGTH)))
    return f"{plain[:4]}-{plain[4:]}"


@dataclass(frozen=True, slots=True)
class CompanionBundle:
    """What a companion answers the phone's half with, and the secret that it stands for."""

    wrapped: bytes
    adv_secret: bytes


@dataclass(frozen=True, slots=True)
class CompanionCode:
    """The companion's half of one attempt. Making one and finishing it take some 50 ms of one core each."""

    code: str
    """As it is shown: `ABCD-EFGH`."""
    ephemeral: KeyPair
    wrapped_ephemeral: bytes
    """What goes to the phone."""

    @classmethod
    def generate(cls) -> CompanionCode:
        """A new code with a key of its own."""
        code, ephemeral = to_text(secrets.token_bytes(CODE_BYTES)), KeyPair.generate()
        return cls(code, ephemeral, wrap(normalize(code), ephemeral.public))

    def finish(self, identity: KeyPair, wrapped_phone_ephemeral: bytes, phone_identity: bytes) -> CompanionBundle:
        """Answer the phone, which has typed the code; raises WrongCode when what it sent cannot be that."""
        phone_ephemeral = unwrap(normalize(self.code), wrapped_phone_ephemeral)
        random, salt, nonce = (secrets.token_bytes(size) for size in (KEY, SALT, NONCE))
        try:
            shared = self.ephemeral.agree(phone_ephemeral)
            identities = identity.agree(phone_identity)
        except (ValueError, TypeError) as error:
            message = "what the phone sent is no key"
            raise WrongCode(message) from error
        key = hkdf(shared, salt=salt, info=_BUNDLE, length=KEY)
        sealed = AESGCM(key).encrypt(nonce, identity.public + phone_identity + random, None)
        secret = hkdf(shared + identities + random, info=b"adv_secret", length=KEY)
        return CompanionBundle(salt + nonce + sealed, secret)


@dataclass(frozen=True, slots=True)
class CodePairing:
    """The phone's half of one attempt, from the typed code to the companion's secret."""

    identity: KeyPair
    ephemeral: KeyPair
    companion_ephemeral: bytes
    wrapped_ephemeral: bytes
    """What the phone sends to the companion."""

    @classmethod
    def begin(cls, identity: KeyPair, code: str, wrapped_companion_ephemeral: bytes) -> CodePairing:
        """Answer a companion that shows *code*; raises WrongCode when it cannot be a code at all."""
        plain = normalize(code)
        ephemeral = KeyPair.generate()
        companion = unwrap(plain, wrapped_companion_ephemeral)
        return cls(identity, ephemeral, companion, wrap(plain, ephemeral.public))

    def finish(self, wrapped_bundle: bytes, companion_identity: bytes) -> bytes:
        """The companion's secret for the signed identity, from its `companion_finish`; raises WrongCode."""
        salt, nonce = wrapped_bundle[:SALT], wrapped_bundle[SALT : SALT + NONCE]
        try:
            shared = self.ephemeral.agree(self.companion_ephemeral)
            key = hkdf(shared, salt=salt, info=_BUNDLE, length=KEY)
            bundle = AESGCM(key).decrypt(nonce, wrapped_bundle[SALT + NONCE :], None)
            identities = self.identity.agree(companion_identity)
        except (InvalidTag, ValueError) as error:
            message = "the code is not the one that the companion shows"
            raise WrongCode(message) from error
        if bundle[: 2 * KEY] != companion_identity + self.identity.public:
            message = "the companion finished for another identity"
            raise WrongCode(message)
        return hkdf(shared + identities + bundle[2 * KEY :], info=b"adv_secret", length=KEY)
