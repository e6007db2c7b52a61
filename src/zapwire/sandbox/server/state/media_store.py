"""The encrypted files that clients uploaded, named by the hash of their bytes; the server never has their keys."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

MAX_STORED: Final = 512 * 1024 * 1024
DOWNLOADS: Final = "/v/t62"
"""Path that files are downloaded under."""


class MediaFull(Exception):
    """The sandbox keeps no more files."""


class MediaStore:
    """Encrypted files by the hash of their bytes, in memory; the oldest make room for new ones."""

    def __init__(self) -> None:
        self.auth = secrets.token_urlsafe(24)
        self._files: dict[str, bytes] = {}
        self._size = 0

    def add(self, data: bytes) -> str:
        """Keep a file; gives the path to download it from. Raises MediaFull when it alone is too large."""
        if len(data) > MAX_STORED:
            raise MediaFull
        token = token_of(data)
        if token not in self._files:
            self._files[token] = data
            self._size += len(data)
        while self._size > MAX_STORED:
            self._size -= len(self._files.pop(next(iter(self._files))))
        return f"{DOWNLOADS}/{token}?ccb=11-4&oh=sandbox&oe=7FFFFFFF&_nc_sid=sandbox"

    def get(self, token: str) -> bytes | None:
        """The file with this hash."""
        return self._files.get(token)

    def files(self) -> dict[str, bytes]:
        """All files by the hash of their bytes, oldest first."""
        return dict(self._files)


def token_of(data: bytes) -> str:
    """The URL-safe base64 of the SHA-256 of a file, without padding."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
