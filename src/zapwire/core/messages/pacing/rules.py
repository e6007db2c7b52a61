"""The rules of pacing. Pure: times are passed in."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Final

from zapwire.model.pacing import Hold, PacingCode, PacingOptions

WARM_UP_FIRST: Final = 50
WARM_UP_DAYS: Final = 7
BURST: Final = 10
"""Messages that go out at once before `messages_per_minute` spaces them."""


def local_day(options: PacingOptions, now: datetime) -> date:
    """The day that is counted, in the bot's time zone."""
    return now.astimezone(options.zone).date()


def new_chats_limit(options: PacingOptions, linked_at: datetime | None, now: datetime) -> int | None:
    """How many new chats may be written to on this day; None: as many as wanted."""
    limits = [options.new_chats_per_day] if options.new_chats_per_day else []
    if options.warm_up and linked_at is not None:
        age = (local_day(options, now) - local_day(options, linked_at)).days
        if age < WARM_UP_DAYS:
            limits.append(WARM_UP_FIRST << max(0, age))
    return min(limits, default=None)


def quiet_until(options: PacingOptions, now: datetime) -> datetime | None:
    """When the quiet hours end that *now* is in; None: it is in none."""
    if options.quiet_hours is None:
        return None
    first, _, last = options.quiet_hours.partition("-")
    begin, end, here = time.fromisoformat(first), time.fromisoformat(last), now.astimezone(options.zone)
    clock = here.time()
    inside = begin <= clock < end if begin < end else (clock >= begin or clock < end)
    if not inside:
        return None
    day = here.date() + timedelta(days=1) if begin > end and clock >= begin else here.date()
    return datetime.combine(day, end, options.zone).astimezone(now.tzinfo)


def next_day(options: PacingOptions, now: datetime) -> datetime:
    """When the day that is counted ends."""
    tomorrow = local_day(options, now) + timedelta(days=1)
    return datetime.combine(tomorrow, time(), options.zone).astimezone(now.tzinfo)


def quiet(options: PacingOptions, now: datetime) -> Hold | None:
    """Does a message that answers nobody wait for the end of the quiet hours?"""
    until = quiet_until(options, now)
    if until is None:
        return None
    return Hold(PacingCode.QUIET_HOURS, until, f"quiet hours ({options.quiet_hours} {options.time_zone})")


def too_many_new_chats(options: PacingOptions, limit: int, now: datetime) -> Hold:
    """A first message to a new chat, when *limit* of them have gone out on this day."""
    reason = f"this bot's limit of {limit} new chats a day is reached"
    return Hold(PacingCode.NEW_CHATS, next_day(options, now), reason)


class Rate:
    """So many messages a minute, after a burst, in the order in which they ask; seconds of any clock that only grows.

    The generic cell rate algorithm: one number says when the next one is due.
    """

    def __init__(self) -> None:
        self._due = 0.0
        """When all that have a place would be through, one after the other."""

    def next_at(self, per_minute: int, now: float) -> float:
        """When the next place is: *now* while the burst lasts."""
        return max(now, self._due - (BURST - 1) * 60.0 / per_minute)

    def take(self, per_minute: int, now: float) -> float:
        """Take the next place; returns when it is."""
        found = self.next_at(per_minute, now)
        self._due = max(self._due, now) + 60.0 / per_minute
        return found
