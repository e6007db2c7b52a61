"""Key derivation and ciphers shared by sessions and sender keys."""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_HASH = hashlib.sha256
_HASH_SIZE = 32
_BLOCK_BITS = 128


class CiphertextError(ValueError):
    """A ciphertext whose length or padding is wrong."""


def hmac_sha256(key: bytes, data: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, data, _HASH)


def hkdf(secret: bytes, *, info: bytes, length: int, salt: bytes = b"") -> bytes:
    """HKDF-SHA-256 (RFC 5869); an empty salt is 32 zero bytes."""
    key = hmac_sha256(salt or bytes(_HASH_SIZE), secret)
    output = block = b""
    counter = 1
    while len(output) < length:
        block = hmac_sha256(key, block + info + bytes([counter]))
        output += block
        counter += 1
    return output[:length]


def cbc_encrypt(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """AES-CBC with PKCS #7 padding."""
    padder = padding.PKCS7(_BLOCK_BITS).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padder.update(plaintext) + padder.finalize()) + encryptor.finalize()


def cbc_decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """The reverse; raises CiphertextError when the length or the padding is wrong."""
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    unpadder = padding.PKCS7(_BLOCK_BITS).unpadder()
    try:
        return unpadder.update(decryptor.update(ciphertext) + decryptor.finalize()) + unpadder.finalize()
    except ValueError as error:
        message = "the ciphertext's length or padding is wrong"
        raise CiphertextError(message) from error
