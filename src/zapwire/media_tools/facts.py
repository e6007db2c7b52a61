"""What is told of a file, and what converting one gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, BinaryIO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

MediaKind = Literal["image", "sticker", "video", "gif", "video_note", "audio", "voice", "document"]
"""As what a file is looked at."""

THUMBNAIL_BYTES: Final = 16_000
WAVEFORM_POINTS: Final = 64

MimeType = Annotated[str, StringConstraints(pattern=r"^[a-z]+/[a-z0-9.+-]+(; codecs=opus)?$", max_length=64)]
Pixels = Annotated[int, Field(ge=1, le=1_000_000)]


class MediaFacts(BaseModel):
    """What was found in a file; `None` is what it does not have, or what cannot be told."""

    model_config = ConfigDict(frozen=True, extra="forbid", val_json_bytes="base64", ser_json_bytes="base64")

    mime_type: MimeType
    """By the content, never by the name."""
    width: Pixels | None = None
    """Pixels, as it is shown: turned as the file says."""
    height: Pixels | None = None
    seconds: Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)] | None = None
    pages: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    thumbnail: Annotated[bytes, Field(max_length=THUMBNAIL_BYTES)] | None = Field(default=None, repr=False)
    """A JPEG of at most 100 pixels a side."""
    animated: bool = False


@dataclass(frozen=True)
class Converted:
    """A file and what is in it."""

    file: BinaryIO | None
    """Open for reading, in memory only; whoever gets it closes it. `None`: the given file can stay as it is."""
    facts: MediaFacts
    """Of the file that is to be sent."""


@dataclass(frozen=True)
class VoiceNote:
    """A voice note as WhatsApp's own clients record them: Opus in Ogg, mono."""

    file: BinaryIO
    """Open for reading, in memory only; whoever gets it closes it."""
    seconds: float
    waveform: bytes
    """64 loudnesses from 0 to 100."""
    mime_type: str = "audio/ogg; codecs=opus"
