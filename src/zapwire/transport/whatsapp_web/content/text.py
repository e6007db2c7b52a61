"""Texts. Source: WAWebProtobufsE2E.proto, `conversation` and `ExtendedTextMessage`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent
from zapwire.transport.whatsapp_web.content.build import build
from zapwire.transport.whatsapp_web.engine.protos import e2e


def _conversation(text: Any) -> TextContent:
    return build(TextContent, text=text)


def _extended(value: Any) -> TextContent:
    return build(TextContent, text=value.text, link=value.matchedText, title=value.title)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "conversation": _conversation,
    "extendedTextMessage": _extended,
}


def encode(content: TextContent) -> Any:
    """The `waE2E.Message` of a text."""
    return e2e.Message(conversation=content.text)
