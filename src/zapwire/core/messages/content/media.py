"""Pictures, videos, sound, documents and stickers that are sent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from zapwire.core.messages.content.request import ContentRequest, RequestPart
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
from zapwire.model.errors import InvalidInput, NotSupported
from zapwire.model.media import MediaFile

Caption = Annotated[str, Field(max_length=65_536)]
FileName = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[^/\\\x00-\x1f\x7f]+$")]


class MediaInput(RequestPart):
    """A file: the id of one that was uploaded or received, an address from which it is fetched, or base64."""

    id: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[!-~]+$")] | None = None
    """`med_...`."""
    url: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^https?://[!-~]+$")] | None = None
    base64: Annotated[str, Field(min_length=1, pattern="^[A-Za-z0-9+/]+={0,2}$")] | None = None
    """At most as much as the setting max_body allows; upload what is larger first."""


class MediaRequest(ContentRequest):
    """Carries a file."""

    media: MediaInput

    made_of: ClassVar[type[MediaContent]]

    def checked(self) -> MediaInput:
        """The file that is named. Raises `InvalidInput` unless it is named in exactly one way."""
        given = self.media
        if sum(one is not None for one in (given.id, given.url, given.base64)) != 1:
            raise InvalidInput("give one of id, url and base64", field="media")
        return given

    def content(self, _: str | None, /) -> AnyContent:
        """Not without its file: see `of`."""
        raise NotSupported(
            f"messages of type {self.kind} cannot be sent like this: use the call for sending", field="type"
        )

    def of(self, file: MediaFile, country: str | None) -> AnyContent:
        """What is sent, with *file*, which is ready for it. Raises `InvalidInput`."""
        details = file.details
        told = {"width": details.width, "height": details.height, "seconds": details.seconds, "pages": details.pages}
        known = self.made_of.model_fields
        fields: dict[str, Any] = {name: one for name, one in told.items() if name in known and one is not None}
        for name in ("caption", "file_name", "view_once"):
            if (one := getattr(self, name, None)) and name in known:
                fields[name] = one
        if "file_name" in known:
            fields.setdefault("file_name", details.file_name or "file")
        if "animated" in known:
            fields["animated"] = details.animated
        what: dict[str, Any] = {
            "media": file.id,
            "mime_type": details.mime_type,
            "size": file.size,
            "sha256": file.remote.sha256.hex(),
        }
        found: AnyContent = self.made_of(**what, **fields, **self.common(country))  # type: ignore[assignment]  # one of them
        return found


class ImageRequest(MediaRequest):
    """A picture."""

    kind: ClassVar = ImageContent.kind
    made_of = ImageContent

    type: Literal["image"]
    caption: Caption | None = None
    view_once: bool = False


class VideoRequest(MediaRequest):
    """A video."""

    kind: ClassVar = VideoContent.kind
    made_of = VideoContent

    type: Literal["video"]
    caption: Caption | None = None
    view_once: bool = False


class GifRequest(MediaRequest):
    """A short video without sound, or an animated picture, shown again and again."""

    kind: ClassVar = GifContent.kind
    made_of = GifContent

    type: Literal["gif"]
    caption: Caption | None = None


class VideoNoteRequest(MediaRequest):
    """A video that is shown as a circle."""

    kind: ClassVar = VideoNoteContent.kind
    made_of = VideoNoteContent

    type: Literal["video_note"]


class AudioRequest(MediaRequest):
    """Sound."""

    kind: ClassVar = AudioContent.kind
    made_of = AudioContent

    type: Literal["audio"]


class VoiceRequest(MediaRequest):
    """Sound as if it was recorded in the chat; any format is converted."""

    kind: ClassVar = VoiceContent.kind
    made_of = VoiceContent

    type: Literal["voice"]
    view_once: bool = False


class DocumentRequest(MediaRequest):
    """Any other file."""

    kind: ClassVar = DocumentContent.kind
    made_of = DocumentContent

    type: Literal["document"]
    caption: Caption | None = None
    file_name: FileName | None = None


class StickerRequest(MediaRequest):
    """A sticker; any picture or short video is converted."""

    kind: ClassVar = StickerContent.kind
    made_of = StickerContent

    type: Literal["sticker"]


REQUESTS = (
    ImageRequest,
    VideoRequest,
    GifRequest,
    VideoNoteRequest,
    AudioRequest,
    VoiceRequest,
    DocumentRequest,
    StickerRequest,
)
