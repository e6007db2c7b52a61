"""How fast a bot may write, as JSON."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from zapwire.api.http.models import Answer, Body, Timestamp
from zapwire.model.pacing import MOST_PER_DAY, MOST_PER_MINUTE

NewChats = Annotated[int, Field(ge=0, le=MOST_PER_DAY)]
PerMinute = Annotated[int, Field(ge=0, le=MOST_PER_MINUTE)]
QuietHours = Annotated[str, Field(max_length=16)]
"""Checked, and explained when it is wrong, by `PacingOptions`."""


class ChangePacing(Body):
    """What to change; absent fields stay."""

    warm_up: bool = Field(
        True,  # noqa: FBT003
        description="In the week after its number was linked the bot writes to 50 new chats on the first day, and each "
        "day to twice as many.",
    )
    new_chats_per_day: NewChats = Field(0, description="First messages to new chats a day; 0: as many as wanted.")
    messages_per_minute: PerMinute = Field(
        0, description="To chats that have not written within an hour, after a burst of 10; 0: as many as wanted."
    )
    quiet_hours: QuietHours | None = Field(None, description="Like `22:00-07:00`: only answers go out then.")
    time_zone: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        "UTC", description="Of the quiet hours and of the days: a name of the IANA database, like `Europe/Berlin`."
    )


class Pacing(Answer):
    """How fast a bot may write now, and how that is set."""

    warm_up: bool
    new_chats_per_day: int
    messages_per_minute: int
    quiet_hours: str | None
    time_zone: str
    linked_at: Timestamp | None = Field(description="When its number was linked; null: before zapwire noted that.")
    new_chats_today: int = Field(description="Counted while there is a limit.")
    new_chats_limit: int | None = Field(description="Of this day; null: none.")
    quiet_until: Timestamp | None = Field(description="When the present quiet hours end; null: it is in none.")
    next_at: Timestamp | None = Field(description="When the next place of `messages_per_minute` is; null: now.")
