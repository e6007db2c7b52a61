"""The phone's half of pairing by code ("link with phone number").

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

from zapwire.sandbox.signal.curve import KeyPair
from zapwire.sandbox.signal.kdf import hkdf

SALT: Final = 32
IV: Final = 16
NONCE: Final = 12
KEY: Final = 32
ITERATIONS: Final = 2 << 16
ALPHABET: Final = "123456789ABCDEFGHJKLMNPQRSTVWXYZ"
CODE_LENGTH: Final = 8


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


@dataclass(frozen=True, slots=True)
class CodePairing:
    """One attempt, from the typed code to the companion's secret."""

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
            key = hkdf(shared, salt=salt, info=b"link_code_pairing_key_bundle_encryption_key", length=KEY)
            bundle = AESGCM(key).decrypt(nonce, wrapped_bundle[SALT + NONCE :], None)
            identities = self.identity.agree(companion_identity)
        except (InvalidTag, ValueError) as error:
            message = "the code is not the one that the companion shows"
            raise WrongCode(message) from error
        if bundle[: 2 * KEY] != companion_identity + self.identity.public:
            message = "the companion finished for another identity"
            raise WrongCode(message)
        return hkdf(shared + identities + bundle[2 * KEY :], info=b"adv_secret", length=KEY)
