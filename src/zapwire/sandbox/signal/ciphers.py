"""What is around a message's protobuf: AES-CBC, and WhatsApp's padding (enc version 2), 1 to 15 bytes that each hold
their number.
"""

from __future__ import annotations

import secrets

from zapwire.sandbox.signal.errors import DecryptFailed
from zapwire.wire.kdf import CiphertextError, cbc_decrypt


def pad(plaintext: bytes) -> bytes:
    """Add a random number of padding bytes."""
    count = secrets.randbelow(15) + 1
    return plaintext + bytes([count]) * count


def unpad(padded: bytes) -> bytes:
    """Take them off; raises DecryptFailed when they are not all equal."""
    count = padded[-1] if padded else 0
    if not count or padded[-count:] != bytes([count]) * count:
        message = "the message's padding is wrong"
        raise DecryptFailed(message)
    return padded[:-count]


def decrypt(key: bytes, iv: bytes, ciphertext: bytes) -> bytes:
    """AES-CBC with PKCS #7 padding; raises DecryptFailed when the length or the padding is wrong."""
    try:
        return cbc_decrypt(key, iv, ciphertext)
    except CiphertextError as error:
        raise DecryptFailed(str(error)) from error
