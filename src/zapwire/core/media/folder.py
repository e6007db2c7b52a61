"""The folder in which files lie, encrypted as WhatsApp keeps them; their keys are sealed in the database.

So nothing of a file is readable on the disk, and what is uploaded need not be encrypted twice.
"""

from __future__ import annotations

import errno
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from zapwire.model.errors import MediaTooLarge, NoSpace
from zapwire.model.media import MediaFile, MediaId, RemoteFile
from zapwire.runtime.file_threads import in_file_thread, in_file_thread_to_end, open_in_file_thread, write_all
from zapwire.wire.media import BLOCK, KEY, Domain, Encryptor, MediaKeys, decrypt_part

PIECE: Final = 1 << 18
"""Bytes that are read, written and encrypted at a time."""
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UNFINISHED: Final = ".part"
_OURS: Final = "med_"


class MediaFolder:
    """Reads and writes the encrypted files."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def place(self) -> Path:
        """Where the files are."""
        return self._path

    def prepare(self) -> None:
        """Make the folder, and delete what was never finished before."""
        self._path.mkdir(mode=0o700, exist_ok=True)
        for left in self._path.glob(f"*{_UNFINISHED}"):
            left.unlink(missing_ok=True)

    def path(self, media: MediaId) -> Path:
        """Where a file lies, or will."""
        return self._path / media

    def older_than(self, seconds: float) -> list[MediaId]:
        """The files of ours that are there for longer."""
        before, found = time.time() - seconds, list[MediaId]()
        for one in self._path.glob(f"{_OURS}*"):
            with suppress(FileNotFoundError):  # finished or deleted meanwhile
                if one.is_file() and one.stat().st_mtime < before:
                    found.append(MediaId(one.name))
        return found

    async def delete(self, media: MediaId) -> None:
        """Delete it, if it is there."""
        await in_file_thread(self.path(media).unlink, missing_ok=True)

    async def write(self, media: MediaId, domain: Domain, pieces: AsyncIterator[bytes], largest: int) -> RemoteFile:
        """Encrypt *pieces* into a new file; all of it or nothing.

        Raises `MediaTooLarge` above *largest* bytes, `NoSpace`, and what *pieces* does.
        """
        key = secrets.token_bytes(KEY)
        part = self.path(media).with_suffix(_UNFINISHED)
        encrypting = Encryptor(key, domain)
        try:
            with disk_errors():
                out = await open_in_file_thread(_create, part)
                try:
                    async for piece in pieces:
                        if encrypting.size + len(piece) > largest:
                            raise MediaTooLarge(f"larger than {largest >> 20} MB", field="media")
                        await in_file_thread_to_end(_encrypt_into, out, encrypting, piece)
                    await in_file_thread_to_end(_finish, out, encrypting)
                finally:
                    os.close(out)
                await in_file_thread(part.replace, self.path(media))
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return RemoteFile(domain, "", key, encrypting.enc_sha256, encrypting.sha256, encrypting.size)

    async def read(self, file: MediaFile, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes of a file from *start* to before *end*, decrypted. Raises OSError."""
        end = file.size if end is None else end
        keys = MediaKeys.derive(file.remote.key, file.remote.domain)
        source = await open_in_file_thread(os.open, self.path(file.id), os.O_RDONLY | os.O_CLOEXEC)
        try:
            place = start // BLOCK * BLOCK
            while place < end:
                size = min(PIECE, (end - place + BLOCK - 1) // BLOCK * BLOCK)
                data = await in_file_thread_to_end(_decrypt_from, source, keys, place, size)
                if not data:
                    raise OSError(errno.EIO, "the file ends early")
                yield data[max(0, start - place) : end - place]
                place += len(data)
        finally:
            os.close(source)


@contextmanager
def disk_errors() -> Iterator[None]:
    """A full disk as `NoSpace`."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise NoSpace("the disk is full: nothing was stored") from error
        raise


def _create(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


def _encrypt_into(out: int, encrypting: Encryptor, data: bytes) -> None:
    write_all(out, encrypting.feed(data))


def _finish(out: int, encrypting: Encryptor) -> None:
    write_all(out, encrypting.finish())
    os.fsync(out)


def _decrypt_from(source: int, keys: MediaKeys, place: int, size: int) -> bytes:
    before = os.pread(source, BLOCK, place - BLOCK) if place else b""
    encrypted = os.pread(source, size, place)
    return decrypt_part(keys, before, encrypted[: len(encrypted) // BLOCK * BLOCK])
