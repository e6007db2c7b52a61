"""Media files as WhatsApp keeps them: encrypted with a key that travels in the message. As a stream.

AES-256-CBC with PKCS #7 padding, then the first 10 bytes of an HMAC-SHA-256 over IV and ciphertext. IV and keys are
made of the media key by HKDF. Source: whatsmeow's upload.go and download.go.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from zapwire.wire.kdf import hkdf

KEY: Final = 32
"""Bytes of a media key."""
MAC: Final = 10
BLOCK: Final = 16


class Domain(StrEnum):
    """What kind of file it is to WhatsApp: says how keys are derived and where it is stored."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"


_LABELS: Final = {
    Domain.IMAGE: b"WhatsApp Image Keys",
    Domain.VIDEO: b"WhatsApp Video Keys",
    Domain.AUDIO: b"WhatsApp Audio Keys",
    Domain.DOCUMENT: b"WhatsApp Document Keys",
}


class DamagedMedia(ValueError):
    """It was changed on its way, or encrypted with another key."""


@dataclass(frozen=True, slots=True)
class MediaKeys:
    """What is derived from a media key. Secret."""

    iv: bytes
    cipher: bytes
    mac: bytes

    @classmethod
    def derive(cls, media_key: bytes, domain: Domain) -> MediaKeys:
        """The keys of a file of that kind."""
        material = hkdf(media_key, info=_LABELS[domain], length=112)
        return cls(material[:16], material[16:48], material[48:80])


def encrypted_size(size: int) -> int:
    """Bytes of a file of *size* bytes, once it is encrypted."""
    return size + BLOCK - size % BLOCK + MAC


class Encryptor:
    """Encrypts one file; feed it, then `finish`."""

    def __init__(self, media_key: bytes, domain: Domain) -> None:
        keys = MediaKeys.derive(media_key, domain)
        self._cipher = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).encryptor()
        self._mac = hmac.new(keys.mac, keys.iv, hashlib.sha256)
        self._plain, self._encrypted = hashlib.sha256(), hashlib.sha256()
        self.size = 0
        """Bytes of the file so far."""

    def feed(self, data: bytes) -> bytes:
        """The next part, encrypted as far as there are whole blocks."""
        self.size += len(data)
        self._plain.update(data)
        return self._note(self._cipher.update(data))

    def finish(self) -> bytes:
        """The end, with the MAC."""
        padding = BLOCK - self.size % BLOCK
        last = self._note(self._cipher.update(bytes([padding]) * padding) + self._cipher.finalize())
        mac = self._mac.digest()[:MAC]
        self._encrypted.update(mac)
        return last + mac

    def _note(self, encrypted: bytes) -> bytes:
        self._mac.update(encrypted)
        self._encrypted.update(encrypted)
        return encrypted

    @property
    def sha256(self) -> bytes:
        """Of the file."""
        return self._plain.digest()

    @property
    def enc_sha256(self) -> bytes:
        """Of the encrypted file, once it is finished."""
        return self._encrypted.digest()


class Decryptor:
    """Decrypts one file from its beginning; feed it the encrypted bytes, then `finish`."""

    def __init__(self, media_key: bytes, domain: Domain) -> None:
        keys = MediaKeys.derive(media_key, domain)
        self._cipher = Cipher(algorithms.AES(keys.cipher), modes.CBC(keys.iv)).decryptor()
        self._mac = hmac.new(keys.mac, keys.iv, hashlib.sha256)
        self._held = b""
        """The last block and the MAC may be in it."""

    def feed(self, data: bytes) -> bytes:
        """The next part of the file, but for what may be its end."""
        data = self._held + data
        ready = max(0, (len(data) - BLOCK - MAC) // BLOCK * BLOCK)
        self._held = data[ready:]
        return self._open(data[:ready])

    def finish(self) -> bytes:
        """The end. Raises `DamagedMedia`; what was given out before is then worth nothing."""
        encrypted, mac = self._held[:-MAC], self._held[-MAC:]
        if not encrypted or len(encrypted) % BLOCK:
            raise DamagedMedia("the file is cut off")
        last = self._open(encrypted) + self._cipher.finalize()
        if not hmac.compare_digest(mac, self._mac.digest()[:MAC]):
            raise DamagedMedia("the file's MAC is wrong")
        padding = last[-1]
        if not 1 <= padding <= BLOCK or last[-padding:] != bytes([padding]) * padding:
            raise DamagedMedia("the file's padding is wrong")
        return last[:-padding]

    def _open(self, encrypted: bytes) -> bytes:
        self._mac.update(encrypted)
        return self._cipher.update(encrypted)


def decrypt_part(keys: MediaKeys, before: bytes, encrypted: bytes) -> bytes:
    """Whole blocks from the middle of a file; *before* is the block in front of them, empty at the beginning."""
    return Cipher(algorithms.AES(keys.cipher), modes.CBC(before or keys.iv)).decryptor().update(encrypted)
