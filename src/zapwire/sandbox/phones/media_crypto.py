"""Media files as they lie on the server: encrypted with a key that travels in the message.

Protocol source: whatsmeow's upload.go and download.go.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

from zapwire.sandbox.signal import ciphers
from zapwire.sandbox.signal.errors import DecryptFailed
from zapwire.wire.kdf import cbc_encrypt, hkdf, hmac_sha256

MAC_SIZE: Final = 10
LABELS: Final = {
    "image": b"WhatsApp Image Keys",
    "sticker": b"WhatsApp Image Keys",
    "video": b"WhatsApp Video Keys",
    "audio": b"WhatsApp Audio Keys",
    "document": b"WhatsApp Document Keys",
}


@dataclass(frozen=True, slots=True)
class EncryptedMedia:
    """A file ready for upload, and what the message has to say about it."""

    key: bytes
    data: bytes
    sha256: bytes
    encrypted_sha256: bytes
    size: int


def _keys(kind: str, media_key: bytes) -> tuple[bytes, bytes, bytes]:
    """IV, cipher key and MAC key."""
    material = hkdf(media_key, info=LABELS[kind], length=112)
    return material[:16], material[16:48], material[48:80]


def encrypt(kind: str, plain: bytes, media_key: bytes | None = None) -> EncryptedMedia:
    """Encrypt a file under a fresh key (or the given one, 32 bytes)."""
    key = media_key or secrets.token_bytes(32)
    iv, cipher_key, mac_key = _keys(kind, key)
    ciphertext = cbc_encrypt(cipher_key, iv, plain)
    data = ciphertext + hmac_sha256(mac_key, iv + ciphertext)[:MAC_SIZE]
    return EncryptedMedia(key, data, hashlib.sha256(plain).digest(), hashlib.sha256(data).digest(), len(plain))


def decrypt(kind: str, data: bytes, media_key: bytes, sha256: bytes = b"") -> bytes:
    """The file; raises DecryptFailed when its MAC or (if given) its hash is wrong."""
    iv, cipher_key, mac_key = _keys(kind, media_key)
    ciphertext, mac = data[:-MAC_SIZE], data[-MAC_SIZE:]
    if not hmac.compare_digest(mac, hmac_sha256(mac_key, iv + ciphertext)[:MAC_SIZE]):
        message = "the media file's MAC is wrong"
        raise DecryptFailed(message)
    plain = ciphers.decrypt(cipher_key, iv, ciphertext)
    if sha256 and hashlib.sha256(plain).digest() != sha256:
        message = "the media file's hash is wrong"
        raise DecryptFailed(message)
    return plain
