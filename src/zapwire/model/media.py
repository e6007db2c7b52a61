"""Files that messages carry."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

from zapwire.model.bots import BotId
from zapwire.wire.media import Domain

MediaId = NewType("MediaId", str)
"""`med_...`."""
UNKNOWN_TYPE: Final = "application/octet-stream"


def new_media_id() -> MediaId:
    """One that no file has."""
    return MediaId(f"med_{secrets.token_hex(12)}")


class MediaState(StrEnum):
    """Where a file is."""

    REMOTE = "remote"
    """At WhatsApp, and not here yet."""
    STORED = "stored"
    """Here, encrypted."""
    EXPIRED = "expired"
    """Deleted here by age or for room, or WhatsApp has it no longer."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file at WhatsApp, as a message describes it: all of it is what its sender says."""

    domain: Domain
    direct_path: str
    """Of an address at WhatsApp's media hosts; begins with `/`."""
    key: bytes = field(repr=False)
    enc_sha256: bytes
    sha256: bytes
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class MediaDetails:
    """What is known of a file's content."""

    mime_type: str = UNKNOWN_TYPE
    file_name: str | None = None
    width: int | None = None
    height: int | None = None
    seconds: int | None = None
    pages: int | None = None
    animated: bool = False
    waveform: bytes | None = None
    """Of a voice note: 64 loudnesses from 0 to 100."""
    thumbnail: bytes | None = field(default=None, repr=False)
    """A JPEG."""


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file that a bot has received or is to send."""

    id: MediaId
    bot: BotId
    state: MediaState
    remote: RemoteFile
    """As it lies here, encrypted; of a received file also where it is at WhatsApp (`direct_path`)."""
    details: MediaDetails
    created_at: datetime
    sent: RemoteFile | None = None
    """As messages name it: where WhatsApp keeps what was uploaded, and with which key. None: not uploaded yet."""
    uploaded_at: datetime | None = None
    """When WhatsApp got it from us; it keeps files for some weeks."""

    @property
    def size(self) -> int:
        """Bytes."""
        return self.remote.size
