"""Contents from what WhatsApp's protobufs hold, whatever a stranger wrote there."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from zapwire.model.content.base import ContentPart
from zapwire.transport.whatsapp_web.engine.untrusted_text import plain

PartT = TypeVar("PartT", bound=ContentPart)

MOST: Final = 1024
"""Entries of a list that are read: as many as a group has members."""
_OFFSETS: Final = frozenset(10**power for power in range(10))
_LATEST: Final = 253_402_300_799
"""Seconds: the end of the year 9999."""


def moment(seconds: int) -> str | None:
    """A moment that a stranger gave, in Unix seconds, as RFC 3339; None for none and for what is no moment."""
    if not 0 < seconds <= _LATEST:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def amount(value: int, offset: int = 1000) -> str | None:
    """An amount of money, which WhatsApp counts in parts of *offset*, as a decimal number."""
    if not value or offset not in _OFFSETS:
        return None
    return format((Decimal(value) / offset).normalize(), "f")


def build(part: type[PartT], **values: Any) -> PartT:
    """A *part* of these values of protobuf fields; one that need not be there and is empty counts as not given."""
    fields = part.model_fields
    return part(**{name: plain(one) for name, one in values.items() if one or fields[name].is_required()})
