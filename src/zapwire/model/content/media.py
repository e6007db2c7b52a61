"""Images, videos, sound, documents and stickers: what is told of them."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content


class MediaContent(Content):
    """A file; all of it is what the sender says."""

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
    """A video, a GIF (which WhatsApp sends as a video) or a round video note."""

    kind: ClassVar = "video"

    caption: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: int | None = None
    gif: bool = False
    note: bool = False
    """It was recorded in the chat and is shown as a circle."""


class AudioContent(MediaContent):
    """Sound."""

    kind: ClassVar = "audio"

    seconds: int | None = None
    voice: bool = False
    """It was recorded in the chat."""


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
