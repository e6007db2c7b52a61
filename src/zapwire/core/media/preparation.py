"""A file as WhatsApp shows it: converted where it has to be, with size, length, pages and thumbnail.

What converts runs in child processes (`zapwire.media_tools`); without the extra `media` files are sent as they are.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import BinaryIO, Final

from zapwire.core.media.folder import PIECE, MediaFolder
from zapwire.core.media.intake import Intake
from zapwire.core.media.limits import SORTS
from zapwire.media_tools import installed
from zapwire.media_tools.facts import MediaFacts
from zapwire.media_tools.tools import AT_ONCE, MediaTools
from zapwire.model.media import UNKNOWN_TYPE, MediaDetails, MediaFile, RemoteFile
from zapwire.runtime.file_threads import in_file_thread_to_end, write_all
from zapwire.store.ports import Store

INSPECTED: Final = 128 << 20
"""Bytes of the largest file that is looked into: it lies in memory meanwhile."""


class Preparation:
    """Prepares files that lie in *folder*."""

    def __init__(self, store: Store, folder: MediaFolder, intake: Intake, tools: MediaTools) -> None:
        self._store = store
        self._folder = folder
        self._intake = intake
        self._tools = tools
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def prepare(self, file: MediaFile, kind: str) -> MediaFile:
        """*file*, which lies in the folder, as WhatsApp shows it in a message of type *kind*.

        A new one where it has to be another. Raises `InvalidInput`, `NotSupported`, `TooMany`, `NoSpace`.
        """
        if file.size > INSPECTED or installed.missing():
            return await self._unconverted(file, kind)
        async with self._turns:  # before anything is read into memory
            source = await self._in_memory(file)
            try:
                return await self._converted(file, kind, source)
            finally:
                os.close(source)

    async def _unconverted(self, file: MediaFile, kind: str) -> MediaFile:
        if kind in {"voice", "sticker"}:
            installed.check()
        if file.remote.domain is SORTS[kind].domain:
            return file
        return await self._copy(file, kind, self._folder.read(file), file.details)

    async def _converted(self, file: MediaFile, kind: str, source: int) -> MediaFile:
        if kind == "voice":
            note = await self._tools.to_voice(source)
            with note.file:
                details = MediaDetails(
                    note.mime_type, None, seconds=max(1, round(note.seconds)), waveform=note.waveform
                )
                return await self._copy(file, kind, _read(note.file), details)
        if kind == "document":
            facts = await self._tools.inspect(source, "document")
            known = file.details.mime_type if facts.mime_type == UNKNOWN_TYPE else facts.mime_type
            return await self._described(file, kind, _details(facts, file.details.file_name, known))
        if kind == "audio":
            facts = await self._tools.inspect(source, "audio")
            return await self._described(file, kind, _details(facts, file.details.file_name, facts.mime_type))
        return await self._shown(file, kind, source)

    async def _shown(self, file: MediaFile, kind: str, source: int) -> MediaFile:
        """Pictures and videos."""
        if kind == "sticker":
            made = await self._tools.to_sticker(source)
        elif kind == "image":
            made = await self._tools.to_jpeg(source)
        else:
            made = await self._tools.to_mp4(source, sound=kind != "gif")
        details = _details(made.facts, file.details.file_name, made.facts.mime_type)
        if made.file is None:
            return await self._described(file, kind, details)
        with made.file:
            return await self._copy(file, kind, _read(made.file), details)

    async def _described(self, file: MediaFile, kind: str, details: MediaDetails) -> MediaFile:
        """*file* with what was found out; a copy where its keys are of another domain, or somebody uses it already."""
        if file.remote.domain is not SORTS[kind].domain or file.sent is not None or file.remote.direct_path:
            return await self._copy(file, kind, self._folder.read(file), details)
        file = replace(file, details=details)
        await self._store.write(lambda transaction: transaction.media.describe(file))
        return file

    async def _copy(self, file: MediaFile, kind: str, pieces: AsyncIterator[bytes], details: MediaDetails) -> MediaFile:
        async def describe(_: RemoteFile) -> MediaDetails:
            return details

        return await self._intake.take(file.bot, kind, pieces, describe)

    async def _in_memory(self, file: MediaFile) -> int:
        """A descriptor of the decrypted file, which lies in memory only."""
        found = os.memfd_create("zapwire-media")
        try:
            async for piece in self._folder.read(file):
                await in_file_thread_to_end(write_all, found, piece)
        except BaseException:
            os.close(found)
            raise
        return found


def is_ready(kind: str, details: MediaDetails) -> bool:
    """Was a file found to be as WhatsApp shows it in a message of type *kind*?"""
    match kind:
        case "voice":
            return details.waveform is not None
        case "sticker":
            return details.mime_type == "image/webp" and (details.width, details.height) == (512, 512)
        case "image":
            return details.mime_type in {"image/jpeg", "image/png"} and details.width is not None
        case "video" | "gif" | "video_note":
            return details.mime_type == "video/mp4" and details.width is not None
        case "audio":
            return details.seconds is not None
    return details.mime_type != "application/pdf" or details.pages is not None


def _details(facts: MediaFacts, file_name: str | None, mime_type: str) -> MediaDetails:
    return MediaDetails(
        mime_type,
        file_name,
        width=facts.width,
        height=facts.height,
        seconds=None if facts.seconds is None else max(1, round(facts.seconds)),
        pages=facts.pages or None,
        animated=facts.animated,
        thumbnail=facts.thumbnail,
    )


async def _read(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await in_file_thread_to_end(file.read, PIECE):
        yield piece
