"""Files lie encrypted, and in pieces that fit into little memory."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

from zapwire.core.media.folder import PIECE, MediaFolder
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.media import MediaDetails, MediaFile, MediaId, MediaState
from zapwire.wire.media import Domain

ID = MediaId("med_1")


async def kept(folder: MediaFolder, pieces: AsyncIterator[bytes]) -> MediaFile:
    remote = await folder.write(ID, Domain.DOCUMENT, pieces, 1 << 40)
    return MediaFile(ID, BotId("shop"), MediaState.STORED, remote, MediaDetails(), timestamps.now())


async def test_nothing_of_a_file_is_readable_on_the_disk(tmp_path: Path):
    folder, words = MediaFolder(tmp_path), os.urandom(16).hex().encode() * 10_000

    async def pieces() -> AsyncIterator[bytes]:
        yield words

    file = await kept(folder, pieces())
    on_disk = folder.path(ID).read_bytes()
    assert words[:16] not in on_disk
    assert b"".join([piece async for piece in folder.read(file)]) == words
    assert b"".join([piece async for piece in folder.read(file, 17, 70_000)]) == words[17:70_000]


async def test_a_large_file_is_never_in_memory_as_a_whole(tmp_path: Path):
    folder, size = MediaFolder(tmp_path), 128 * PIECE

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(size // PIECE):
            yield bytes(PIECE)

    tracemalloc.start()
    try:
        file, read = await kept(folder, pieces()), 0
        async for piece in folder.read(file):
            read += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read == file.size == size
    assert peak < 16 * PIECE
