"""Images, videos, sound, documents and stickers: what is told of them."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content


class MediaContent(Content):
    """A file; all of it is what the sender says."""

    media: str | None = None
    """Its id; null where the message does not lead to a file."""
    mime_type: str | None = None
    size: int | None = None
    """Bytes."""
    sha256: str | None = None
    """Of the file, in hexadecimal."""


class ImageContent(MediaContent):
    """A picture."""

    kind: ClassVar = "image"

    caption: str | None = None
    width: int | None = None
    height: int | None = None


class VideoContent(MediaContent):
    """A video."""

    kind: ClassVar[str] = "video"

    caption: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: int | None = None


class GifContent(VideoContent):
    """A short video without sound, shown again and again."""

    kind: ClassVar[str] = "gif"


class VideoNoteContent(VideoContent):
    """A video that was recorded in the chat and is shown as a circle."""

    kind: ClassVar[str] = "video_note"


class AudioContent(MediaContent):
    """Sound."""

    kind: ClassVar[str] = "audio"

    seconds: int | None = None


class VoiceContent(AudioContent):
    """Sound that was recorded in the chat."""

    kind: ClassVar[str] = "voice"


class DocumentContent(MediaContent):
    """Any other file."""

    kind: ClassVar = "document"

    caption: str | None = None
    file_name: str | None = None
    title: str | None = None
    pages: int | None = None


class StickerContent(MediaContent):
    """A sticker."""

    kind: ClassVar = "sticker"

    width: int | None = None
    height: int | None = None
    animated: bool = False
