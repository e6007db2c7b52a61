"""How fast a bot may write, and to whom: careful with people who do not know it, and with a new number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from zapwire.model.errors import InvalidInput

QUIET_HOURS: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-3]):([0-5][0-9])")
MOST_PER_DAY: Final = 100_000
MOST_PER_MINUTE: Final = 6000


class PacingCode(StrEnum):
    """Why a message waits."""

    NEW_CHATS = "new-chats"
    """The first messages to new chats of this day are used up."""
    RATE = "rate"
    """The messages of this minute are used up."""
    QUIET_HOURS = "quiet-hours"


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """Of one bot. A chat that has just written to it is always answered at once."""

    warm_up: bool = True
    """A newly linked number writes to few new chats: 50 on the first day, each day twice as many, for a week."""
    new_chats_per_day: int = 0
    """First messages to chats that the bot never wrote to and that never wrote to it; 0: as many as wanted."""
    messages_per_minute: int = 0
    """To chats that have not just written; 0: as many as wanted."""
    quiet_hours: str | None = None
    """`22:00-07:00` in `time_zone`: no messages then, but answers."""
    time_zone: str = "UTC"
    """Name in the IANA database; also of the days that are counted."""

    def __post_init__(self) -> None:
        """Raises `InvalidInput` that names the field."""
        if not 0 <= self.new_chats_per_day <= MOST_PER_DAY:
            raise InvalidInput(f"must be 0 to {MOST_PER_DAY}", field="new_chats_per_day")
        if not 0 <= self.messages_per_minute <= MOST_PER_MINUTE:
            raise InvalidInput(f"must be 0 to {MOST_PER_MINUTE}", field="messages_per_minute")
        if self.quiet_hours is not None:
            found = QUIET_HOURS.fullmatch(self.quiet_hours)
            if found is None or found[0][:5] == found[0][6:]:
                raise InvalidInput("must be two different times of day like 22:00-07:00", field="quiet_hours")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise InvalidInput("must be a time zone like Europe/Berlin", field="time_zone") from None

    @property
    def zone(self) -> ZoneInfo:
        """`time_zone`, ready to use."""
        return ZoneInfo(self.time_zone)


@dataclass(frozen=True, slots=True)
class Hold:
    """A message waits, until when, and why."""

    code: PacingCode
    until: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class PacingStatus:
    """What a bot may do now."""

    options: PacingOptions
    linked_at: datetime | None
    """When its number was linked here; None: not since zapwire notes it."""
    new_chats_today: int
    new_chats_limit: int | None
    """Of this day; None: there is none."""
    quiet_until: datetime | None
    next_at: datetime | None
    """When the next message to a chat that has not just written may go, by `messages_per_minute`; None: now."""
