"""A new file: encrypted into the folder, then noted in the database; both or neither."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from zapwire.core.media.folder import MediaFolder
from zapwire.core.media.limits import SORTS
from zapwire.core.media.space import MediaSpace
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.media import MediaDetails, MediaFile, MediaState, RemoteFile, new_media_id
from zapwire.store.ports import Store


class Intake:
    """Takes files into *folder*."""

    def __init__(self, store: Store, folder: MediaFolder, space: MediaSpace) -> None:
        self._store = store
        self._folder = folder
        self._space = space

    async def take(
        self,
        bot: BotId,
        kind: str,
        pieces: AsyncIterator[bytes],
        describe: Callable[[RemoteFile], Awaitable[MediaDetails]],
    ) -> MediaFile:
        """Keep *pieces* as a file for messages of type *kind*; *describe* says what it is, or raises what is wrong.

        Raises `MediaTooLarge`, `NoSpace`, and what *pieces* and *describe* do.
        """
        media, sort = new_media_id(), SORTS[kind]
        with self._space.reservation() as room:
            remote = await self._folder.write(media, sort.domain, room.counted(pieces), sort.largest)
            try:
                details = await describe(remote)
                file = MediaFile(media, bot, MediaState.STORED, remote, details, timestamps.now())
                await self._store.write(lambda transaction: transaction.media.insert(file))
            except BaseException:
                await self._folder.delete(media)
                raise
            return file
