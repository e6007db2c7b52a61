"""What a caller wants beside the message itself: when it is sent, until when it is worth it, what is noted with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from zapwire.model.errors import InvalidInput
from zapwire.model.messages import Notes

LATEST: Final = timedelta(days=366)
"""How far ahead a message can be scheduled."""


@dataclass(frozen=True, slots=True)
class SendOptions:
    """All of it may be left out."""

    send_at: datetime | None = None
    deadline: datetime | None = None
    notes: Notes = field(default_factory=Notes)

    def times(self, now: datetime, lifetime: timedelta) -> tuple[datetime | None, datetime]:
        """When the message is to be sent (None: at once), and when it is too late. Raises `InvalidInput`."""
        due = self.send_at if self.send_at is not None and self.send_at > now else None
        if due is not None and due > now + LATEST:
            raise InvalidInput("more than a year ahead", field="send_at")
        if self.deadline is None:
            return due, (due or now) + lifetime
        if self.deadline <= (due or now):  # see also `OutboxRepository.reschedule`
            raise InvalidInput("is over already, or before `send_at`", field="deadline")
        if self.deadline > now + LATEST + lifetime:
            raise InvalidInput("more than a year ahead", field="deadline")
        return due, self.deadline
