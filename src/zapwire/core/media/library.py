"""All bots' files: taken from callers, described, fetched from the network when somebody wants them, uploaded once."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import puremagic

from zapwire.core.media.fetching import Fetcher
from zapwire.core.media.folder import MediaFolder, disk_errors
from zapwire.core.media.intake import Intake
from zapwire.core.media.limits import SORTS, check_size, check_type
from zapwire.core.media.places import FairPlaces
from zapwire.core.media.preparation import Preparation, is_ready
from zapwire.core.media.space import MediaSpace
from zapwire.core.tuning import Tuning
from zapwire.media_tools.tools import MediaTools
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.errors import InvalidInput, MediaExpired, NotFound, NotSupported
from zapwire.model.media import UNKNOWN_TYPE, MediaDetails, MediaFile, MediaId, MediaState, RemoteFile
from zapwire.runtime.file_threads import in_file_thread
from zapwire.store.ports import Store, UnitOfWork
from zapwire.transport.protocol import CarriesMedia, Transport

KEPT_BY_WHATSAPP: Final = timedelta(days=7)
"""How long an upload, also somebody else's, is used again; WhatsApp keeps files for some weeks."""
DOWNLOADS_AT_ONCE: Final = 8
DOWNLOADS_OF_ONE_BOT: Final = 4
"""So that a bot whose proxy is slow leaves places to others."""
_HEAD: Final = 1 << 16
"""Bytes from the start of a file by which its type is told."""


class Source(Protocol):
    """What a caller names a file by: exactly one of the three."""

    id: str | None
    url: str | None
    base64: str | None


class TransportOf(Protocol):
    """Finds the transport of a bot."""

    def __call__(self, bot: BotId) -> Transport | None:
        """It, or None when there is no such bot."""


@dataclass(slots=True)
class _Turn:
    """One download of a file at a time."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    wanted: int = 0
    """By how many."""


class MediaLibrary:
    """Takes, describes, keeps and gives files."""

    def __init__(
        self, store: Store, folder: MediaFolder, fetcher: Fetcher, transport_of: TransportOf, limits: Tuning
    ) -> None:
        self.folder = folder
        self._store = store
        self._fetcher = fetcher
        self._transport_of = transport_of
        self._space = MediaSpace(store, folder, limits)
        self._intake = Intake(store, folder, self._space)
        self.tools = MediaTools()
        self._preparation = Preparation(store, folder, self._intake, self.tools)
        self._places = FairPlaces(DOWNLOADS_AT_ONCE, DOWNLOADS_OF_ONE_BOT)
        self._under_way: dict[MediaId, _Turn] = {}

    async def take(self, bot: BotId, pieces: AsyncIterator[bytes], *, kind: str, file_name: str | None) -> MediaFile:
        """Keep a new file for messages of type *kind*, as it is. Raises `InvalidInput`, `MediaTooLarge`, `NoSpace`."""
        head = bytearray()

        async def watched() -> AsyncIterator[bytes]:
            async for piece in pieces:
                if len(head) < _HEAD:
                    head.extend(piece[: _HEAD - len(head)])
                yield piece

        async def describe(remote: RemoteFile) -> MediaDetails:
            check_size(kind, remote.size)
            mime_type = await in_file_thread(_type_of, bytes(head), file_name)
            check_type(kind, mime_type)
            return MediaDetails(mime_type, file_name)

        return await self._intake.take(bot, kind, watched(), describe)

    async def get(self, media: str) -> MediaFile:
        """A file. Raises `NotFound`."""
        found = await self._store.look_up(lambda view: view.media.get(media))
        if found is None:
            raise NotFound("no such file", field="media")
        return found

    async def for_message(self, bot: BotId, kind: str, given: Source, file_name: str | None) -> MediaFile:
        """The file for a message of type *kind* as WhatsApp shows it: converted and described.

        Raises `InvalidInput`, `NotFound`, `NotSupported`, `MediaTooLarge`, `MediaExpired`, `NoSpace`, `TooMany`,
        `TransportError`.
        """
        file = await self._given(bot, kind, given, file_name)
        check_size(kind, file.size)
        check_type(kind, file.details.mime_type)
        if file.remote.domain is SORTS[kind].domain and is_ready(kind, file.details):
            return file
        await self.fetched(file)
        return await self._preparation.prepare(file, kind)

    async def _given(self, bot: BotId, kind: str, given: Source, file_name: str | None) -> MediaFile:
        if given.id is not None:
            wanted = given.id
            found = await self._store.look_up(lambda view: view.media.of_bot(bot, wanted))
            if found is None:
                raise NotFound("this bot has no such file", field="media.id")
            return found
        if given.base64 is not None:
            try:
                data = base64.b64decode(given.base64, validate=True)
            except (binascii.Error, ValueError):
                raise InvalidInput("not base64", field="media.base64") from None
            return await self.take(bot, _one(data), kind=kind, file_name=file_name)
        async with self._fetcher.fetch(given.url or "", SORTS[kind].largest) as fetched:
            return await self.take(bot, fetched.pieces, kind=kind, file_name=file_name or fetched.file_name)

    # -- to and from the network ------------------------------------------------------------------------------------

    async def fetched(self, file: MediaFile) -> Path:
        """Where the encrypted file lies, after a download if it was not here.

        Raises `MediaExpired`, `MediaDamaged`, `NotSupported`, `NoSpace`, `TransportError`.
        """
        path = self.folder.path(file.id)
        if not await in_file_thread(path.exists):
            await self._download(file, path)
        now = timestamps.now()
        await self._store.write(lambda transaction: transaction.media.used(file.id, now))
        return path

    async def _download(self, file: MediaFile, path: Path) -> None:
        remote = file.remote if file.remote.direct_path else None
        transport = self._transport_of(file.bot)
        if remote is None:
            raise MediaExpired("this file was deleted here: it is kept only for some time")
        if file.state is MediaState.EXPIRED:
            raise MediaExpired("WhatsApp has this file no longer: whoever sent it has to send it again")
        if not isinstance(transport, CarriesMedia):
            raise NotSupported("this bot cannot download files", field="media")
        turn = self._under_way.setdefault(file.id, _Turn())
        turn.wanted += 1
        try:
            async with turn.lock, self._places.place(file.bot):
                if await in_file_thread(path.exists):
                    return
                with disk_errors(), self._space.reservation() as room:
                    await transport.download(remote, path, room.grow)
                await self._store.write(partial(_moved, media=file.id, state=MediaState.STORED))
        except MediaExpired:
            await self._store.write(partial(_moved, media=file.id, state=MediaState.EXPIRED))
            raise
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._under_way[file.id]

    async def upload(self, media: str, transport: Transport) -> None:
        """See to it that the network has the file, so that a message can name it.

        Raises `NotFound`, `NotSupported`, `MediaExpired`, `TransportError`.
        """
        file = await self.get(media)
        if is_at_whatsapp(file):
            return
        if not isinstance(transport, CarriesMedia):
            raise NotSupported("this bot cannot send files", field="media")
        sent = await transport.upload(file, await self.fetched(file))
        now = timestamps.now()
        await self._store.write(lambda transaction: transaction.media.uploaded(file.id, sent, now))


def is_at_whatsapp(file: MediaFile) -> bool:
    """Did we upload it lately, or somebody who sent it to us?"""
    since = file.uploaded_at if file.sent is not None else file.created_at if file.remote.direct_path else None
    return file.state is not MediaState.EXPIRED and since is not None and timestamps.now() - since < KEPT_BY_WHATSAPP


def _moved(transaction: UnitOfWork, media: MediaId, state: MediaState) -> None:
    transaction.media.move(media, state)


def _type_of(head: bytes, file_name: str | None) -> str:
    """The MIME type by the content; the name only helps where several types begin alike."""
    try:
        found = puremagic.from_string(head, mime=True, filename=file_name)
    except (puremagic.PureError, ValueError, IndexError):
        found = ""
    return found.lower() if found and len(found) < 100 and found.isascii() else UNKNOWN_TYPE


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data
