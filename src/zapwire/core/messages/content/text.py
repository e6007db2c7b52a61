"""Texts that are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput
from zapwire.runtime.validation_messages import checked_text

LONGEST: Final = 65_536
"""Characters; WhatsApp's own limit."""


def read(fields: Mapping[str, Any]) -> TextContent:
    """A text from the fields of a message, as they came from outside. Raises `InvalidInput`."""
    for name in fields:
        if name != "text":
            raise InvalidInput("is not a field of a message", field=name)
    return TextContent(text=checked_text(fields.get("text", ""), "text"))


def check(content: TextContent) -> None:
    """Can it be sent? Raises `InvalidInput`."""
    if not content.text.strip():
        raise InvalidInput("a text message needs a text", field="text")
    if len(content.text) > LONGEST:
        raise InvalidInput(f"longer than {LONGEST} characters", field="text")
