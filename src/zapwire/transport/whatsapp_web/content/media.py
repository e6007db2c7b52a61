"""Media. Source: WAWebProtobufsE2E.proto, `ImageMessage` and its neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.media import AudioContent, DocumentContent, ImageContent, StickerContent, VideoContent
from zapwire.transport.whatsapp_web.content.build import build


def _file(value: Any) -> dict[str, Any]:
    return {"mime_type": value.mimetype, "size": value.fileLength, "sha256": value.fileSHA256.hex()}


def _image(value: Any) -> ImageContent:
    return build(ImageContent, **_file(value), caption=value.caption, width=value.width, height=value.height)


def _video(value: Any) -> VideoContent:
    size = {"width": value.width, "height": value.height}
    return build(
        VideoContent, **_file(value), **size, caption=value.caption, seconds=value.seconds, gif=value.gifPlayback
    )


def _video_note(value: Any) -> VideoContent:
    size = {"width": value.width, "height": value.height}
    return build(VideoContent, **_file(value), **size, caption=value.caption, seconds=value.seconds, note=True)


def _audio(value: Any) -> AudioContent:
    return build(AudioContent, **_file(value), seconds=value.seconds, voice=value.PTT)


def _document(value: Any) -> DocumentContent:
    names = {"file_name": value.fileName, "title": value.title, "pages": value.pageCount}
    return build(DocumentContent, **_file(value), **names, caption=value.caption)


def _sticker(value: Any) -> StickerContent:
    return build(StickerContent, **_file(value), width=value.width, height=value.height, animated=value.isAnimated)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "imageMessage": _image,
    "videoMessage": _video,
    "ptvMessage": _video_note,
    "audioMessage": _audio,
    "documentMessage": _document,
    "stickerMessage": _sticker,
}
