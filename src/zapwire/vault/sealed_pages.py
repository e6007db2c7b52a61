"""How the pages of a sealed SQLite file look on the disk; pure functions of bytes, no files.

The layout is SQLite's own, with a page size of 4096 and 32 reserved bytes per page, so that sizes, offsets, locks and
syncs stay what they are (SQLite file format, 1.3.4 and 4.1):

* a page: 4064 ciphertext | 16 tag | 12 nonce | 4 subkey, bound to its kind (database or WAL) and its offset in the file
* page 1 begins with `SLD2` and the 12-byte salt of the file in place of SQLite's magic
* a WAL frame header: page number and commit size stay readable; salts and checksum, which is linear in the plaintext,
  are one AES block in XEX mode bound to its offset

The name of the file (without `.db`) goes into its key, so what lies under another bot's name does not open there. Those
of zapwire before 0.2 begin with `SLD1` and are bound to no name; they are sealed again when they are next used.
"""

from __future__ import annotations

import os
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from zapwire.vault.keys import OVERHEAD, Damaged, MasterKey, Subkeys, expand

PAGE: Final = 4096
BODY: Final = PAGE - OVERHEAD
"""What SQLite uses of a page."""
FRAME_HEADER: Final = 24
FRAME: Final = FRAME_HEADER + PAGE
WAL_HEADER: Final = 32
SQLITE_MAGIC: Final = b"SQLite format 3\0"
BOUND: Final = b"SLD2"
"""The key depends on the file's name."""
UNBOUND: Final = b"SLD1"
SALT: Final = len(SQLITE_MAGIC) - len(BOUND)
_SHAPE: Final = b"\x10\x00\x02\x02" + bytes([OVERHEAD])
"""Bytes 16 to 20 of page 1: page size 4096, WAL for readers and writers, reserved bytes."""
_PURPOSES: Final = {BOUND: b"zapwire auth file v2 ", UNBOUND: b"zapwire auth file v1"}
_UNUSED: Final = bytes(OVERHEAD)

EMPTY_DATABASE: Final = bytearray(PAGE)
"""Page 1 of a database without tables (SQLite file format, 1.3 and 1.6)."""
EMPTY_DATABASE[:24] = SQLITE_MAGIC + _SHAPE + b"\x40\x20\x20"
EMPTY_DATABASE[31] = 1  # pages
EMPTY_DATABASE[100:108] = b"\x0d\0\0\0\0" + BODY.to_bytes(2, "big") + b"\0"  # an empty leaf


class PageRefused(Exception):
    """SQLite wants to write something whose form this layout does not have."""


class FileKeys:
    """The keys of one sealed file: made from its salt and the key derived for it."""

    def __init__(self, head: bytes, key: bytes) -> None:
        """*key* is what `derive` gives; whoever has it can open this file and no other."""
        self.head = head
        """The first 16 bytes of the file."""
        self.salt = head[-SALT:]
        self.key = key
        self._subkeys = Subkeys(key)
        header = expand(key, b"wal frame header", 64)
        # One block per call under SQLite's write lock, or while it recovers: nobody else uses these at the same time.
        block = Cipher(algorithms.AES(header[:32]), modes.ECB())  # noqa: S305 - XEX below makes each block unique
        self._encrypt, self._decrypt = block.encryptor(), block.decryptor()
        self._tweak = Cipher(algorithms.AES(header[32:]), modes.ECB()).encryptor()  # noqa: S305 - as above

    @classmethod
    def derive(cls, master: MasterKey, head: bytes, name: str) -> FileKeys:
        """The keys of the file that begins with *head* (one of which `salt_of` knows the salt) and is called *name*."""
        magic, salt = head[:-SALT], head[-SALT:]
        purpose = _PURPOSES[magic] + (os.fsencode(name) if magic == BOUND else b"")
        return cls(head, master.derive(salt, purpose))

    @classmethod
    def new(cls, master: MasterKey, name: str) -> FileKeys:
        """The keys of a file that is still to be made, and will be called *name*."""
        return cls.derive(master, BOUND + os.urandom(SALT), name)

    @property
    def bound(self) -> bool:
        """Do they open the file only under its own name?"""
        return self.head[:-SALT] == BOUND

    def seal_page(self, offset: int, page: bytes | memoryview) -> bytes:
        """A page of the database file at *offset*, as it is written. Raises `PageRefused`."""
        _check_unused(page)
        if offset:
            return self._subkeys.seal(page[:BODY], _about(b"D", offset))
        if page[:21] != SQLITE_MAGIC + _SHAPE:
            message = "page 1 has another page size or reserve, or leaves WAL mode"
            raise PageRefused(message)
        return self.head + self._subkeys.seal(page[16:BODY], _about(b"D", 0))

    def open_page(self, offset: int, raw: bytes | memoryview) -> bytes:
        """The reverse. Raises `Damaged`."""
        if offset:
            return self._subkeys.unseal(raw, _about(b"D", offset)) + _UNUSED
        if raw[:16] != self.head:
            raise Damaged
        return SQLITE_MAGIC + self._subkeys.unseal(raw[16:], _about(b"D", 0)) + _UNUSED

    def seal_frame(self, offset: int, page: bytes | memoryview) -> bytes:
        """The page in a WAL frame, which lies at *offset* behind its frame header. Raises `PageRefused`."""
        _check_unused(page)
        return self._subkeys.seal(page[:BODY], _about(b"W", offset))

    def open_frame(self, offset: int, raw: bytes | memoryview) -> bytes:
        """The reverse. Raises `Damaged`."""
        return self._subkeys.unseal(raw, _about(b"W", offset)) + _UNUSED

    def seal_frame_header(self, offset: int, header: bytes) -> bytes:
        """The 24-byte header at *offset* of a WAL frame."""
        return header[:8] + self._xex(self._encrypt, offset, header[8:])

    def open_frame_header(self, offset: int, raw: bytes) -> bytes:
        """The reverse; what was not made by it comes out as noise."""
        return raw[:8] + self._xex(self._decrypt, offset, raw[8:])

    def _xex(self, cipher: Any, offset: int, block: bytes) -> bytes:
        tweak = int.from_bytes(self._tweak.update(offset.to_bytes(16, "little")), "big")
        mixed = cipher.update((int.from_bytes(block, "big") ^ tweak).to_bytes(16, "big"))
        return (int.from_bytes(mixed, "big") ^ tweak).to_bytes(16, "big")


def salt_of(head: bytes) -> bytes | None:
    """The salt in the first bytes of a sealed file; None for any other."""
    if len(head) < len(SQLITE_MAGIC) or head[: len(BOUND)] not in _PURPOSES:
        return None
    return head[len(BOUND) : len(SQLITE_MAGIC)]


def is_plain(head: bytes) -> bool:
    """Are these the first bytes of an SQLite file that is not sealed?"""
    return head[:16] == SQLITE_MAGIC


def _about(kind: bytes, offset: int) -> bytes:
    return kind + offset.to_bytes(8, "big")


def _check_unused(page: bytes | memoryview) -> None:
    if len(page) != PAGE or page[BODY:] != _UNUSED:
        message = "a page has data in its reserved bytes"
        raise PageRefused(message)
