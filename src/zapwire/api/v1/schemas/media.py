"""Files as JSON."""

from __future__ import annotations

from pydantic import Field

from zapwire.api.http.models import Answer, Timestamp
from zapwire.model.media import MediaState
from zapwire.wire.media import Domain


class Media(Answer):
    """A file of messages."""

    id: str
    bot: str
    state: MediaState = Field(description="`remote`: at WhatsApp, downloaded when it is asked for.")
    type: Domain = Field(description="How WhatsApp keeps it.")
    mime_type: str = Field(description="Of a received file as its sender says, else by its content.")
    file_name: str | None
    size: int = Field(description="Bytes.")
    sha256: str
    width: int | None
    height: int | None
    seconds: int | None
    pages: int | None
    created_at: Timestamp
