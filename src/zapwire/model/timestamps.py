"""Points in time as the database keeps them: whole milliseconds since 1970, UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC, microsecond=999_000)


def now() -> datetime:
    """The present, cut to whole milliseconds, so that a value read back equals the one written."""
    return from_ms(to_ms(datetime.now(UTC)))


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 of *moment*, which must carry a time zone."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """The reverse of `to_ms`; of what is no time at all (a damaged row) the nearest one there is."""
    try:
        return _EPOCH + milliseconds * _MILLISECOND
    except OverflowError:
        return _LAST if milliseconds > 0 else _FIRST


def from_ms_or_none(milliseconds: int | None) -> datetime | None:
    """The reverse of `to_ms` for a column that may be null."""
    return None if milliseconds is None else from_ms(milliseconds)
