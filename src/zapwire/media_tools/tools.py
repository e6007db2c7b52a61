"""What can be done with a file. Everything runs in child processes, few at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, BinaryIO, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zapwire.media_tools import child_process, installed, limits
from zapwire.media_tools.facts import Converted, MediaFacts, MediaKind, VoiceNote
from zapwire.media_tools.faults import InvalidMedia, MediaFault
from zapwire.media_tools.limits import Limits
from zapwire.runtime.file_threads import in_file_thread
from zapwire.runtime.one_at_a_time import SerialQueue

AT_ONCE: Final = 2
WAITING: Final = 32
_RETRY_AFTER: Final = 5.0
_PDF_WITHIN: Final = 1024
"""Bytes from the start in which a PDF says that it is one."""


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", val_json_bytes="base64")

    fault: MediaFault | None = None
    limit: str = Field("", max_length=40, pattern=r"^[0-9.]* ?[a-z ]*$")


class _Facts(_Answer):
    facts: MediaFacts | None = None
    unchanged: bool = False


class _Voice(_Answer):
    seconds: float = Field(0, ge=0, le=1e7, allow_inf_nan=False)
    waveform: bytes = Field(b"", max_length=64)


A = TypeVar("A", bound=_Answer)


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
        answer, _ = await self._run(_Facts, {"work": "inspect", "kind": kind}, source, limits.INSPECT)
        return _facts(answer)

    async def to_voice(self, source: int) -> VoiceNote:
        """Any sound, or the sound of a video, as a voice note. What is Opus in mono already is not encoded again."""
        answer, output = await self._run(_Voice, {"work": "voice"}, source, limits.VOICE)
        return VoiceNote(_given(output), answer.seconds, answer.waveform)

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
            answer, _ = await self._run(_Facts, {"work": "inspect", "kind": "document"}, source, limits.INSPECT)
            return _facts(answer)
        except InvalidMedia:
            return MediaFacts(mime_type="application/pdf")

    async def _convert(self, request: Mapping[str, Any], source: int, limit: Limits) -> Converted:
        answer, output = await self._run(_Facts, request, source, limit)
        if answer.unchanged:
            _given(output).close()
            return Converted(None, _facts(answer))
        return Converted(_given(output), _facts(answer))

    async def _run(
        self, form: type[A], request: Mapping[str, Any], source: int, limit: Limits
    ) -> tuple[A, BinaryIO | None]:
        installed.check()
        limit = self._limit or limit
        async with self._queue.turn():
            # only a name that the kernel shows for the descriptor; a file in memory has none
            output = os.memfd_create("zapwire-media") if limit.output else None
            try:
                answer = _read(form, await child_process.run(request, source, output, limit))
            except BaseException:
                if output is not None:
                    os.close(output)
                raise
        return answer, None if output is None else os.fdopen(output, "rb")


def _read(form: type[A], told: bytes) -> A:
    try:
        answer = form.model_validate_json(told)
    except ValidationError:
        raise InvalidMedia(MediaFault.CRASHED) from None
    if answer.fault is not None:
        raise InvalidMedia(answer.fault, limit=answer.limit)
    return answer


def _facts(answer: _Facts) -> MediaFacts:
    if answer.facts is None:
        raise InvalidMedia(MediaFault.CRASHED)
    return answer.facts


def _given(output: BinaryIO | None) -> BinaryIO:
    if output is None:
        raise InvalidMedia(MediaFault.CRASHED)
    output.seek(0)
    return output
