"""The master key and what is derived from it.

One 32-byte master key per sessions folder. Nothing is ever sealed with it directly: each auth file has a key of its
own and all sealed columns of one database have theirs, both HKDF-SHA256 (RFC 5869) of the master key and a random salt
that lies beside what they seal. Destroying the salt destroys the key (crypto-shredding).

Under such a key each process run seals with a random subkey of its own, named by the 4 bytes that are stored with each
sealed value: a 96-bit random nonce may be used with one AES-GCM key some 2^32 times (NIST SP 800-38D, 8.3), and no
daemon gets there in one run.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

KEY_SIZE: Final = 32
NONCE_SIZE: Final = 12
TAG_SIZE: Final = 16
KID_SIZE: Final = 4
OVERHEAD: Final = TAG_SIZE + NONCE_SIZE + KID_SIZE
"""Bytes that sealing adds."""


class KeyFormatError(Exception):
    """The text is not a master key; never says what it was."""


class Damaged(Exception):
    """What was to be opened was sealed with another key, elsewhere, or was changed."""


class Missing(Damaged):
    """There is nothing to open, and there should be."""


class Foreign(Damaged):
    """What is to be opened belongs somewhere else: it was moved, copied or linked here."""


class MasterKey:
    """32 secret bytes, which show neither in `repr` nor in an error."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) != KEY_SIZE:
            message = f"a master key has {KEY_SIZE} bytes, not {len(secret)}"
            raise KeyFormatError(message)
        self._secret = secret

    @classmethod
    def generate(cls) -> MasterKey:
        """A new one, from the operating system's randomness."""
        return cls(os.urandom(KEY_SIZE))

    @property
    def fingerprint(self) -> str:
        """8 hex digits that name the key and tell nothing of it."""
        return self.derive(b"", b"zapwire fingerprint v1")[:4].hex()

    def derive(self, salt: bytes, purpose: bytes) -> bytes:
        """The 32-byte key for *purpose* under *salt* (HKDF-SHA256)."""
        return HKDF(hashes.SHA256(), KEY_SIZE, salt, purpose).derive(self._secret)

    def text(self) -> str:
        """The key as it is kept in a file: 64 hex digits. Only for whoever stores it."""
        return self._secret.hex()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MasterKey) and hmac.compare_digest(self._secret, other._secret)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __repr__(self) -> str:
        return f"<master key {self.fingerprint}>"


class KeyRing:
    """The master keys in use: the first one seals, all of them open; more than one only while a rotation goes on."""

    def __init__(self, *keys: MasterKey) -> None:
        if not keys:
            message = "there is no master key in it"
            raise KeyFormatError(message)
        self._keys = tuple(dict.fromkeys(keys))

    @classmethod
    def parse(cls, text: bytes) -> KeyRing:
        """The keys in a file, a credential or a variable: one per line in hex or base64, or exactly 32 raw bytes.

        Lines that are empty or begin with `#` do not count. Raises `KeyFormatError`.
        """
        try:
            lines = [line.strip() for line in text.decode("ascii").splitlines()]
            return cls(*(MasterKey(_decode(line)) for line in lines if line and not line.startswith("#")))
        except (UnicodeDecodeError, KeyFormatError):
            if len(text) == KEY_SIZE:
                return cls(MasterKey(text))
            message = (
                "not a master key: one line of 64 hex digits (or base64 of 32 bytes) per key, as "
                "`zapwire key generate` makes them"
            )
            raise KeyFormatError(message) from None

    @property
    def sealing(self) -> MasterKey:
        """The key under which everything new is sealed."""
        return self._keys[0]

    def text(self) -> str:
        """All keys as they are kept in a file, one per line. Only for whoever stores them."""
        return "".join(f"{key.text()}\n" for key in self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[MasterKey]:
        return iter(self._keys)

    def __repr__(self) -> str:
        return f"<key ring {', '.join(key.fingerprint for key in self._keys)}>"


class Subkeys:
    """AES-256-GCM under one derived key; seals with this run's subkey, opens those of all runs.

    Sealed: ciphertext | 16 tag | 12 nonce | 4 name of the subkey. Thread-safe.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._kid = os.urandom(KID_SIZE)
        self._own = self._derive(self._kid)
        self._known = {self._kid: self._own}

    def seal(self, plain: bytes | memoryview, about: bytes) -> bytes:
        """Seal *plain*, bound to *about*; `OVERHEAD` bytes longer."""
        nonce = os.urandom(NONCE_SIZE)
        return self._own.encrypt(nonce, plain, about) + nonce + self._kid

    def unseal(self, sealed: bytes | memoryview, about: bytes) -> bytes:
        """The reverse. Raises `Damaged` for all that `seal` did not make with this *about*."""
        kid = bytes(sealed[-KID_SIZE:])
        cipher = self._known.get(kid)
        fresh = cipher is None
        if cipher is None:
            cipher = self._derive(kid)
        try:
            plain = cipher.decrypt(sealed[-KID_SIZE - NONCE_SIZE : -KID_SIZE], sealed[: -KID_SIZE - NONCE_SIZE], about)
        except (InvalidTag, ValueError):
            raise Damaged from None
        if fresh:  # only what has opened something is worth remembering
            self._known[kid] = cipher
        return plain

    def _derive(self, kid: bytes) -> AESGCM:
        return AESGCM(expand(self._key, b"subkey " + kid))


def expand(key: bytes, purpose: bytes, size: int = KEY_SIZE) -> bytes:
    """*size* bytes for *purpose* from a derived key (HKDF-Expand)."""
    return HKDFExpand(hashes.SHA256(), size, purpose).derive(key)


def _decode(line: str) -> bytes:
    try:
        return bytes.fromhex(line) if len(line) == 2 * KEY_SIZE else base64.b64decode(line, validate=True)
    except (ValueError, binascii.Error):
        message = "neither hex nor base64"
        raise KeyFormatError(message) from None
