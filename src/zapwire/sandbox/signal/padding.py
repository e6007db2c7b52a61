"""WhatsApp's padding of a message's protobuf (enc version 2): 1 to 15 bytes that each hold their number."""

from __future__ import annotations

import secrets

from zapwire.sandbox.signal.errors import DecryptFailed


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
