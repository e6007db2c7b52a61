"""One sealed, authenticated file under a passphrase: how a bot leaves one installation and comes to another.

    zapwire bundle 1\\n | 16 salt | 16 check | 8 length | 12 nonce | ciphertext and tag

The passphrase is stretched with scrypt (RFC 7914; N = 2^17, r = 8, p = 1: 128 MiB and some 0.4 s a guess); everything
before the ciphertext is authenticated with it. The check is derived from the same key: it tells a wrong passphrase from
a damaged file. The content is compressed first.
"""

from __future__ import annotations

import hmac
import os
import zlib
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from zapwire.vault.keys import NONCE_SIZE, TAG_SIZE, expand

MAGIC: Final = b"zapwire bundle 1\n"
FAMILY: Final = b"zapwire bundle "
LARGEST: Final = 256 << 20
"""Bytes of content that are taken: nobody may fill our memory with zeros."""
_SALT: Final = 16
_CHECK: Final = 16
_LENGTH: Final = 8
_HEAD: Final = len(MAGIC) + _SALT + _CHECK + _LENGTH + NONCE_SIZE


class BundleError(Exception):
    """The file is no bundle, is damaged or was cut short; says which."""


class WrongPassphrase(BundleError):
    """The bundle was made with another passphrase."""


def pack(passphrase: str, content: bytes) -> bytes:
    """Seal *content* under *passphrase*; takes 0.4 s of processor and 128 MiB."""
    salt, nonce, small = os.urandom(_SALT), os.urandom(NONCE_SIZE), zlib.compress(content)
    key, check = _derive(passphrase, salt)
    head = MAGIC + salt + check + (len(small) + TAG_SIZE).to_bytes(_LENGTH, "big") + nonce
    return head + AESGCM(key).encrypt(nonce, small, head)


def unpack(passphrase: str, bundle: bytes) -> bytes:
    """The reverse. Raises `WrongPassphrase` and `BundleError`."""
    head, sealed = bundle[:_HEAD], bundle[_HEAD:]
    _check_shape(head, sealed)
    salt, check = head[len(MAGIC) :][:_SALT], head[len(MAGIC) + _SALT :][:_CHECK]
    key, right = _derive(passphrase, salt)
    if not hmac.compare_digest(check, right):
        message = "the passphrase is wrong"
        raise WrongPassphrase(message)
    try:
        small = AESGCM(key).decrypt(head[-NONCE_SIZE:], sealed, head)
    except InvalidTag:
        message = "the bundle is damaged"
        raise BundleError(message) from None
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(small, LARGEST)
    except zlib.error:
        message = "the bundle is damaged"
        raise BundleError(message) from None
    if not inflater.eof:
        message = f"the bundle holds more than {LARGEST >> 20} MiB"
        raise BundleError(message)
    return content


def _check_shape(head: bytes, sealed: bytes) -> None:
    if not head.startswith(FAMILY):
        message = "this is no bundle made by `zapwire bot export`"
        raise BundleError(message)
    if not head.startswith(MAGIC):
        message = "the bundle was made by another version of zapwire, which this one does not know"
        raise BundleError(message)
    length = int.from_bytes(head[-NONCE_SIZE - _LENGTH : -NONCE_SIZE], "big")
    if len(head) < _HEAD or len(sealed) < length:
        message = "the bundle was cut short"
        raise BundleError(message)
    if len(sealed) > length:
        message = "there is something behind the end of the bundle"
        raise BundleError(message)


def _derive(passphrase: str, salt: bytes) -> tuple[bytes, bytes]:
    """The key, and what tells that it is the right one."""
    stretched = Scrypt(salt, 32, n=1 << 17, r=8, p=1).derive(passphrase.encode())
    return expand(stretched, b"bundle content"), expand(stretched, b"bundle check", _CHECK)
