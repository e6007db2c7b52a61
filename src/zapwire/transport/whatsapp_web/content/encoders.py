"""What is sent, as the engine's waE2E protobuf: an encoder for each kind that can be sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.base import Content
from zapwire.model.content.text import TextContent
from zapwire.model.errors import NotSupported
from zapwire.transport.whatsapp_web.content import text

ENCODERS: Final[dict[str, Callable[[Any], Any]]] = {TextContent.kind: text.encode}
"""By the type of the message."""


def encode(content: Content) -> bytes:
    """The serialized `waE2E.Message`. Raises `NotSupported` for a kind without an encoder."""
    encoder = ENCODERS.get(content.kind)
    if encoder is None:
        raise NotSupported(f"messages of type {content.kind} cannot be sent yet", field="type")
    data: bytes = encoder(content).SerializeToString()
    return data
