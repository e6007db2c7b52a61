"""Room for files: a quota of our own, and what has to stay free on the disk for everything else.

Room is reserved before anything is written, also what several files need that come at the same time. The least wanted
files go to make room; what is still needed does not.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final

from zapwire.core.media.folder import MediaFolder
from zapwire.core.media.housekeeping import expire_files
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.errors import NoSpace
from zapwire.runtime.file_threads import in_file_thread
from zapwire.store.ports import Store

log = logging.getLogger(__name__)

STEP: Final = 16 << 20
"""Bytes that are reserved at a time for a file whose size is not known."""
RESERVE: Final = 512 << 20
"""Bytes that stay free on the disk, at most a twentieth of it."""
NEW: Final = timedelta(minutes=10)
"""Files that somebody wanted so lately do not go to make room: their messages may not be stored yet."""
COUNTED: Final = 300.0
"""Seconds for which a count of all files is good enough, with what came since, while it is below the quota."""
_AT_ONCE: Final = 100


class Reservation:
    """Room for one file; it grows as the file does."""

    def __init__(self, space: MediaSpace) -> None:
        self._space = space
        self.granted = 0
        self.used = 0
        """Bytes of that which are written, or about to be."""

    async def grow(self, size: int) -> None:
        """So many bytes more are to be written. Raises `NoSpace`."""
        if self.used + size > self.granted:
            await self._space.grant(self, max(STEP, self.used + size - self.granted))
        self.used += size
        self._space.unwritten -= size

    async def counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """*pieces*, with room for each. Raises `NoSpace`."""
        async for piece in pieces:
            await self.grow(len(piece))
            yield piece


class MediaSpace:
    """The room in *folder*."""

    def __init__(self, store: Store, folder: MediaFolder, limits: Tuning) -> None:
        self._store = store
        self._folder = folder
        self._quota = limits.media_quota
        self._reserved = 0
        """Bytes that are granted to files which are being written."""
        self.unwritten = 0
        """Those of them that the disk does not hold yet."""
        self._stored = 0
        """Bytes of all files that are done, as counted last, and of those since."""
        self._counted_at = -COUNTED
        self._turn = asyncio.Lock()

    @contextmanager
    def reservation(self) -> Iterator[Reservation]:
        """Room for a file that is written meanwhile; afterwards its row in the database counts."""
        made = Reservation(self)
        try:
            yield made
        finally:
            self._reserved -= made.granted
            self.unwritten -= made.granted - made.used
            self._stored += made.used

    async def grant(self, to: Reservation, size: int) -> None:
        """Let a file grow by *size* bytes. Raises `NoSpace`."""
        async with self._turn:
            await self._check_disk(size)
            await self._make_room(size)
            to.granted += size
            self._reserved += size
            self.unwritten += size

    async def _check_disk(self, size: int) -> None:
        free, reserve = await in_file_thread(_free, self._folder.place)
        if free - self.unwritten - size < reserve:
            raise NoSpace(
                f"{free >> 20} MB are free on the disk, of which {reserve >> 20} MB are kept for messages: "
                "nothing was stored",
                field="media",
            )

    async def _make_room(self, size: int) -> None:
        wanted = self._reserved + size - self._quota
        over = await self._count(COUNTED) + wanted
        if over > 0:
            over = await self._count(0.0) + wanted
        before = timestamps.now() - NEW
        while over > 0 and (old := await self._store.read(lambda view: view.media.oldest(_AT_ONCE, before))):
            some = []
            for media, bytes_ in old:
                if over <= 0:
                    break
                some.append(media)
                over -= bytes_
            await expire_files(self._store, self._folder, some)
            self._counted_at = -COUNTED
            log.info("%d files that messages carried were deleted to make room", len(some))
        if over > 0:
            raise NoSpace(
                f"the {self._quota >> 20} MB for files (media_quota_mb) are used up, and nothing of it is old enough "
                "to go: nothing was stored",
                field="media",
            )

    async def _count(self, seconds: float) -> int:
        """Bytes of all files that are done, counted at most so many *seconds* ago: it takes time that grows with their
        number.
        """
        now = asyncio.get_running_loop().time()
        if now - self._counted_at >= seconds:
            _, self._stored = await self._store.read(lambda view: view.media.stored())
            self._counted_at = now
        return self._stored


def _free(folder: Path) -> tuple[int, int]:
    """Bytes that are free to us, and those that are to stay so."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize, min(RESERVE, found.f_blocks * found.f_frsize // 20)
