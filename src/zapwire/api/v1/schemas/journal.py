"""Pages of events as JSON.

Answers are made by `zapwire.core.events.serializers`, so that they agree with events; a test holds these models against
it.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from zapwire.api.http.models import Answer, Timestamp
from zapwire.model.events import EventType


class Event(Answer):
    """One line of the journal: also one WebSocket frame, and one webhook body."""

    id: str = Field(description="The same over all retries.")
    seq: int = Field(description="Position in the journal; each is one more than the one before.")
    type: EventType
    timestamp: Timestamp
    bot: str | None = Field(description="null when the event is about no bot.")
    data: dict[str, Any] = Field(description="By type; the document's webhooks describe each.")


class EventGap(Answer):
    """Events that were pruned before the reader came to them; both ends included."""

    from_seq: int = Field(alias="from")
    to_seq: int = Field(alias="to")


class EventPage(Answer):
    """Events from the journal, oldest first."""

    events: list[Event]
    next_after: int = Field(description="Pass this as `after` to go on.")
    last_seq: int = Field(description="The newest event there is; `after` this one, only new events follow.")
    gap: EventGap | None = Field(description="What lay between `after` and these events and is no longer kept.")
