"""The file that is looked at: a descriptor, read without moving its position."""

from __future__ import annotations

import io
import os
import stat

from typing_extensions import override

from zapwire.media_tools.child.fault import Fault
from zapwire.media_tools.faults import MediaFault


class Source(io.RawIOBase):
    """A descriptor as a file; both Pillow and PyAV read from it."""

    def __init__(self, descriptor: int) -> None:
        """Raises `Fault` when there is nothing to read."""
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise Fault(MediaFault.UNKNOWN_FORMAT)
        if status.st_size == 0:
            raise Fault(MediaFault.EMPTY)
        self._descriptor = descriptor
        self._at = 0
        self.size = status.st_size

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def tell(self) -> int:
        return self._at

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    @override
    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self.at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def at(self, offset: int, size: int) -> bytes:
        """Some bytes, wherever the position is."""
        return os.pread(self._descriptor, size, offset)
