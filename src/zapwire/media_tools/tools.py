"""What can be done with a file. Everything runs in child processes, few at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zapwire.media_tools import child_process, installed, limits
from zapwire.media_tools.facts import WAVEFORM_POINTS, Converted, MediaFacts, MediaKind, VoiceNote
from zapwire.media_tools.faults import InvalidMedia, MediaFault
from zapwire.media_tools.limits import Limits
from zapwire.runtime.file_threads import in_file_thread
from zapwire.runtime.one_at_a_time import SerialQueue

AT_ONCE: Final = 2
WAITING: Final = 32
_RETRY_AFTER: Final = 5.0
_PDF_WITHIN: Final = 1024
"""Bytes from the start in which a PDF says that it is one."""


class _Faulty(BaseModel):
    model_config = ConfigDict(extra="forbid")

    fault: MediaFault
    limit: str = Field(max_length=40, pattern=r"^[0-9.]* ?[a-z ]*$")


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid")

    facts: MediaFacts
    unchanged: bool = False


class _Voice(BaseModel):
    model_config = ConfigDict(extra="forbid", val_json_bytes="base64")

    seconds: float = Field(ge=0, le=1e7, allow_inf_nan=False)
    waveform: bytes = Field(min_length=WAVEFORM_POINTS, max_length=WAVEFORM_POINTS)


A = TypeVar("A", bound=BaseModel)


class MediaTools:
    """Inspects and converts files that are given as open descriptors of regular files, also of unlinked ones and of
    memory (`memfd_create`). A given descriptor stays open and its position where it is.

    Every method raises `NotSupported` without the extra `media`, `InvalidMedia` for what a file is to blame for, and
    `TooMany` when too many wait already. Cancelling one ends its child. What is converted lies in memory only.
    """

    def __init__(self, *, at_once: int = AT_ONCE, waiting: int = WAITING, limit: Limits | None = None) -> None:
        """*at_once* children at most, *waiting* more in the queue; *limit* replaces the limits of each kind of work."""
        self._queue = SerialQueue("media to inspect or convert", at_once + waiting, _RETRY_AFTER, at_once)
        self._limit = limit

    async def inspect(self, source: int, kind: MediaKind) -> MediaFacts:
        """What is in the file, looked at as *kind*.

        A document that is no PDF gets no child, and one whose pages cannot be read is told of without them: it can be
        sent all the same.
        """
        if kind == "document":
            return await self._inspect_document(source)
        return await self._inspect(source, kind)

    async def to_voice(self, source: int) -> VoiceNote:
        """Any sound, or the sound of a video, as a voice note. What is Opus in mono already is not encoded again."""
        with _output() as output:
            answer = await self._run(_Voice, {"work": "voice"}, source, output, limits.VOICE)
            return VoiceNote(_opened(output), answer.seconds, answer.waveform)

    async def to_sticker(self, source: int) -> Converted:
        """Any image, or a video of at most 10 s, as a WebP of 512 x 512 pixels within WhatsApp's sizes.

        It is padded with transparency; static ones take at most 100 kB, animated ones 500 kB.
        """
        return await self._convert({"work": "sticker"}, source, limits.STICKER)

    async def to_jpeg(self, source: int) -> Converted:
        """An image as WhatsApp shows it: JPEG and PNG stay, everything else becomes a JPEG without metadata."""
        return await self._convert({"work": "jpeg"}, source, limits.IMAGE)

    async def to_mp4(self, source: int, *, sound: bool = True) -> Converted:
        """A video, or an animated image, as WhatsApp shows it: H.264 and AAC in MP4 that can be shown while it loads.

        What has these codecs already is copied or stays, everything else is encoded. Without *sound* it gets none, as
        what is shown as a GIF.
        """
        return await self._convert({"work": "mp4", "sound": sound}, source, limits.VIDEO)

    async def _inspect_document(self, source: int) -> MediaFacts:
        start = await in_file_thread(os.pread, source, _PDF_WITHIN, 0)
        if not start:
            raise InvalidMedia(MediaFault.EMPTY)
        if b"%PDF-" not in start:
            return MediaFacts(mime_type="application/octet-stream")
        try:
            return await self._inspect(source, "document")
        except InvalidMedia:
            return MediaFacts(mime_type="application/pdf")

    async def _inspect(self, source: int, kind: MediaKind) -> MediaFacts:
        return (await self._run(_Facts, {"work": "inspect", "kind": kind}, source, None, limits.INSPECT)).facts

    async def _convert(self, request: Mapping[str, Any], source: int, limit: Limits) -> Converted:
        with _output() as output:
            answer = await self._run(_Facts, request, source, output, limit)
            return Converted(None if answer.unchanged else _opened(output), answer.facts)

    async def _run(
        self, form: type[A], request: Mapping[str, Any], source: int, output: int | None, limit: Limits
    ) -> A:
        installed.check()
        limit = self._limit or limit
        async with self._queue.turn():
            return _read(form, await child_process.run(request, source, output, limit))


def _read(form: type[A], told: bytes) -> A:
    try:
        fault = _Faulty.model_validate_json(told)
    except ValidationError:
        pass
    else:
        raise InvalidMedia(fault.fault, limit=fault.limit)
    try:
        return form.model_validate_json(told)
    except ValidationError:
        raise InvalidMedia(MediaFault.CRASHED) from None


@contextmanager
def _output() -> Iterator[int]:
    # only a name that the kernel shows for the descriptor; a file in memory has none
    output = os.memfd_create("zapwire-media")
    try:
        yield output
    finally:
        os.close(output)


def _opened(output: int) -> BinaryIO:
    os.lseek(output, 0, os.SEEK_SET)
    return os.fdopen(os.dup(output), "rb")
