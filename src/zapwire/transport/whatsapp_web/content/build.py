"""Contents from what WhatsApp's protobufs hold, whatever a stranger wrote there."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from zapwire.model.content.base import ContentPart
from zapwire.transport.whatsapp_web.engine.untrusted_text import plain

PartT = TypeVar("PartT", bound=ContentPart)

MOST: Final = 1024
"""Entries of a list that are read: as many as a group has members."""


def build(part: type[PartT], **values: Any) -> PartT:
    """A *part* of these values of protobuf fields; one that need not be there and is empty counts as not given."""
    fields = part.model_fields
    return part(**{name: plain(one) for name, one in values.items() if one or fields[name].is_required()})
