"""Events that are sent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AwareDatetime, Field

from zapwire.core.messages.content.request import ContentRequest
from zapwire.model.content.business import EventContent
from zapwire.model.errors import InvalidInput


class EventRequest(ContentRequest):
    """An invitation to an event, which people answer in the chat."""

    kind: ClassVar = EventContent.kind

    type: Literal["event"]
    name: Annotated[str, Field(min_length=1, max_length=256)]
    description: Annotated[str, Field(max_length=2048)] | None = None
    place: Annotated[str, Field(max_length=256)] | None = None
    starts_at: AwareDatetime
    """RFC 3339, with its time zone."""
    ends_at: AwareDatetime | None = None
    link: Annotated[str, Field(max_length=2048, pattern=r"^https?://[!-~]+$")] | None = None
    """Of a call."""

    def content(self, country: str | None, /) -> EventContent:
        """See `ContentRequest.content`."""
        if self.ends_at is not None and self.ends_at <= self.starts_at:
            raise InvalidInput("not after the beginning", field="ends_at")
        ends_at = None if self.ends_at is None else self.ends_at.isoformat()
        names: dict[str, Any] = {
            "name": self.name,
            "description": self.description,
            "place": self.place,
            "link": self.link,
        }
        return EventContent(**names, starts_at=self.starts_at.isoformat(), ends_at=ends_at, **self.common(country))
