"""Sealed columns of the application database.

A value is sealed with AES-256-GCM and bound to its table, its column and its row, so that no value can be put in
another's place. One that has to be found again without being readable is *veiled* instead: AES-SIV (RFC 5297) without
a nonce gives the same for the same value in the same column, and so tells which rows are alike, but nothing else.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from zapwire.vault.keys import KEY_SIZE, Damaged, MasterKey, Subkeys, expand

SALT_SIZE: Final = 16
_PURPOSE: Final = b"zapwire columns v1"
_CHECK_PLACE: Final = "vault.verifier"
_CHECK_TEXT: Final = "zapwire"


class Columns:
    """Seals and opens the columns of one database, under a master key and the salt that the database holds."""

    def __init__(self, key: MasterKey, salt: bytes) -> None:
        derived = key.derive(salt, _PURPOSE)
        self._subkeys = Subkeys(expand(derived, b"values"))
        self._siv = AESSIV(expand(derived, b"veils", 2 * KEY_SIZE))
        self.fingerprint = key.fingerprint
        self.salt = salt

    @staticmethod
    def new_salt() -> bytes:
        """A salt for a new database or a rotated one."""
        return os.urandom(SALT_SIZE)

    def seal(self, place: str, row: str, text: str) -> bytes:
        """Seal *text* for the column *place* (`table.column`) of the row that is identified by *row*."""
        return self.seal_bytes(place, row, text.encode())

    def seal_bytes(self, place: str, row: str, content: bytes) -> bytes:
        """`seal` of a text that is encoded already."""
        return self._subkeys.seal(content, _about(place, row))

    def unseal(self, place: str, row: str, sealed: bytes) -> str:
        """The reverse of `seal`. Raises `Damaged` when it was not sealed there, or with another key."""
        return self.unseal_bytes(place, row, sealed).decode()

    def unseal_bytes(self, place: str, row: str, sealed: bytes) -> bytes:
        """The reverse of `seal_bytes`. Raises `Damaged` when it was not sealed there, or with another key."""
        return self._subkeys.unseal(sealed, _about(place, row))

    def veil(self, place: str, text: str) -> bytes:
        """Seal *text*, which is not empty, for the column *place*: always to the same 16 bytes more than it has."""
        return self._siv.encrypt(text.encode(), [place.encode()])

    def unveil(self, place: str, veiled: bytes) -> str:
        """The reverse. Raises `Damaged` when it was not veiled for that column, or with another key."""
        try:
            return self._siv.decrypt(veiled, [place.encode()]).decode()
        except (InvalidTag, ValueError):
            raise Damaged from None

    def verifier(self) -> bytes:
        """Something sealed to tell later whether a key is the right one."""
        return self.seal(_CHECK_PLACE, "", _CHECK_TEXT)

    def opens(self, verifier: bytes) -> bool:
        """Is this the key under which *verifier* was made?"""
        try:
            return self.unseal(_CHECK_PLACE, "", verifier) == _CHECK_TEXT
        except Damaged:
            return False


def _about(place: str, row: str) -> bytes:
    return f"{place}\0{row}".encode()
