"""Files that are old, or too many, are deleted; what is told of them stays as long as messages do."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from functools import partial
from typing import Final

from zapwire.core.media.folder import MediaFolder
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.errors import StoreError
from zapwire.model.media import MediaId, MediaState
from zapwire.runtime.file_threads import in_file_thread
from zapwire.store.ports import Store, UnitOfWork, View

log = logging.getLogger(__name__)

_AT_ONCE: Final = 100
_NEW: Final = 3600.0
"""Seconds for which a file may be there before its row is."""


async def keep_media(store: Store, folder: MediaFolder, limits: Tuning) -> None:
    """Keep the folder within its bounds, for ever."""
    while True:
        try:
            await prune(store, folder, limits)
        except (StoreError, OSError) as error:
            log.warning("old files could not be deleted: %s", error)
        await asyncio.sleep(limits.housekeeping)


async def prune(store: Store, folder: MediaFolder, limits: Tuning) -> None:
    """Delete what nobody has wanted for long, then what is too much, the least wanted first."""
    now = timestamps.now()
    gone = 0
    while old := await store.read(lambda view: view.media.oldest(_AT_ONCE, now - timedelta(seconds=limits.keep_media))):
        gone += await expire_files(store, folder, [media for media, _ in old])
    _, size = await store.read(lambda view: view.media.stored())
    while size > limits.media_quota and (old := await store.read(lambda view: view.media.oldest(_AT_ONCE))):
        too_much = list[MediaId]()
        for media, bytes_ in old:
            if size <= limits.media_quota:
                break
            too_much.append(media)
            size -= bytes_
        gone += await expire_files(store, folder, too_much)
    if gone:
        log.info("%d files that messages carried were deleted: by age, or for room", gone)
    await _delete_orphans(store, folder)
    forgotten = now - timedelta(seconds=limits.keep_messages + limits.keep_media)
    while await store.write(lambda transaction: transaction.media.prune(_AT_ONCE, forgotten)) == _AT_ONCE:
        pass


async def _delete_orphans(store: Store, folder: MediaFolder) -> None:
    """Files of bots that were deleted, and what a crash left between the file and its row."""
    some = await in_file_thread(folder.older_than, _NEW)
    for first in range(0, len(some), _AT_ONCE):
        part = some[first : first + _AT_ONCE]
        known = await store.read(partial(_known, some=part))
        for media in {*part} - {*known}:
            await folder.delete(media)


async def expire_files(store: Store, folder: MediaFolder, some: list[MediaId]) -> int:
    """Delete these; returns how many went. Raises OSError when none can be deleted."""
    gone = list[MediaId]()
    for media in some:
        try:
            await folder.delete(media)
        except OSError as error:
            log.error("the file %s cannot be deleted: %s", media, error.strerror)  # noqa: TRY400 - the reason says all
        else:
            gone.append(media)
    await store.write(partial(_expire, some=gone))
    if not gone:
        raise OSError("none of the oldest files can be deleted")
    return len(gone)


def _known(view: View, some: list[MediaId]) -> list[MediaId]:
    return [media for media in some if view.media.get(media) is not None]


def _expire(transaction: UnitOfWork, some: list[MediaId]) -> None:
    for media in some:
        file = transaction.media.get(media)
        is_elsewhere = file is not None and bool(file.remote.direct_path)  # what was received can be had again
        transaction.media.move(media, MediaState.REMOTE if is_elsewhere else MediaState.EXPIRED)
