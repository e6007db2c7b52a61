"""Media. Source: WAWebProtobufsE2E.proto, `ImageMessage` and its neighbours."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.media import (
    AudioContent,
    DocumentContent,
    GifContent,
    ImageContent,
    MediaContent,
    StickerContent,
    VideoContent,
    VideoNoteContent,
    VoiceContent,
)
from zapwire.model.media import MediaFile, RemoteFile
from zapwire.transport.whatsapp_web.content.build import build
from zapwire.transport.whatsapp_web.engine.protos import e2e
from zapwire.transport.whatsapp_web.engine.untrusted_text import LARGEST, text_of
from zapwire.wire.media import KEY, Domain

VOICE_TYPE: Final = "audio/ogg; codecs=opus"
_HASH: Final = 32
_LONGEST_PATH: Final = 2048


def _file(value: Any) -> dict[str, Any]:
    return {"mime_type": value.mimetype, "size": value.fileLength, "sha256": value.fileSHA256.hex()}


def _image(value: Any) -> ImageContent:
    return build(ImageContent, **_file(value), caption=value.caption, width=value.width, height=value.height)


def _video(value: Any) -> VideoContent:
    return _moving(GifContent if value.gifPlayback else VideoContent, value)


def _video_note(value: Any) -> VideoContent:
    return _moving(VideoNoteContent, value)


def _moving(kind: type[VideoContent], value: Any) -> VideoContent:
    size = {"width": value.width, "height": value.height}
    return build(kind, **_file(value), **size, caption=value.caption, seconds=value.seconds)


def _audio(value: Any) -> AudioContent:
    return build(VoiceContent if value.PTT else AudioContent, **_file(value), seconds=value.seconds)


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
_DOMAINS: Final = {
    "imageMessage": Domain.IMAGE,
    "videoMessage": Domain.VIDEO,
    "ptvMessage": Domain.VIDEO,
    "audioMessage": Domain.AUDIO,
    "documentMessage": Domain.DOCUMENT,
    "stickerMessage": Domain.IMAGE,
}


def file_of(message: Any) -> RemoteFile | None:
    """Where the file of *message*, a `waE2E.Message` out of its wrappers, lies; None when it does not say so."""
    for name, domain in _DOMAINS.items():
        if message.HasField(name):
            value = getattr(message, name)
            path = text_of(value.directPath)
            whole = len(value.mediaKey) == KEY and len(value.fileEncSHA256) == len(value.fileSHA256) == _HASH
            if not whole or not path or len(path) > _LONGEST_PATH or value.fileLength > LARGEST:
                return None
            hashes = bytes(value.mediaKey), bytes(value.fileEncSHA256), bytes(value.fileSHA256)
            return RemoteFile(domain, path, *hashes, size=value.fileLength)
    return None


def encode(content: MediaContent, file: MediaFile) -> Any:
    """The `waE2E.Message` of a *file* that was uploaded."""
    name, extra = _FIELDS[content.kind]
    message = e2e.Message()
    value = getattr(message, name)
    sent, details = file.sent or file.remote, file.details
    value.URL, value.directPath = f"https://mmg.whatsapp.net{sent.direct_path}", sent.direct_path
    value.mediaKey, value.mediaKeyTimestamp = sent.key, int(time.time())
    value.fileSHA256, value.fileEncSHA256, value.fileLength = sent.sha256, sent.enc_sha256, sent.size
    value.mimetype = details.mime_type
    known = value.DESCRIPTOR.fields_by_name
    found = {
        "caption": getattr(content, "caption", None),
        "width": details.width,
        "height": details.height,
        "seconds": details.seconds,
        "pageCount": details.pages,
        "fileName": getattr(content, "file_name", None),
        "title": getattr(content, "file_name", None),
        "waveform": details.waveform if content.kind == VoiceContent.kind else None,
        "JPEGThumbnail": details.thumbnail,
        "isAnimated": details.animated or None,
        **extra,
    }
    for field, one in found.items():
        if one is not None and field in known:
            setattr(value, field, one)
    return _wrapped(message, content)


def _wrapped(message: Any, content: MediaContent) -> Any:
    if content.view_once:
        name = next(name for name in _DOMAINS if message.HasField(name))
        getattr(message, name).viewOnce = True
        return e2e.Message(viewOnceMessageV2=e2e.FutureProofMessage(message=message))
    if message.HasField("documentMessage") and message.documentMessage.caption:
        return e2e.Message(documentWithCaptionMessage=e2e.FutureProofMessage(message=message))
    return message


_FIELDS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    ImageContent.kind: ("imageMessage", {}),
    VideoContent.kind: ("videoMessage", {}),
    GifContent.kind: ("videoMessage", {"gifPlayback": True}),
    VideoNoteContent.kind: ("ptvMessage", {}),
    AudioContent.kind: ("audioMessage", {}),
    VoiceContent.kind: ("audioMessage", {"PTT": True}),
    DocumentContent.kind: ("documentMessage", {}),
    StickerContent.kind: ("stickerMessage", {}),
}
KINDS: Final = frozenset(_FIELDS)
"""The types of messages that carry a file."""
