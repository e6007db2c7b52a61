"""Texts. Source: WAWebProtobufsE2E.proto, `conversation` and `ExtendedTextMessage`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent
from zapwire.transport.whatsapp_web.content.build import build
from zapwire.transport.whatsapp_web.engine.protos import e2e


def _conversation(text: Any) -> TextContent:
    return build(TextContent, text=text)


def _extended(value: Any) -> TextContent:
    page = {"link": value.matchedText, "title": value.title, "description": value.description}
    look = {"color": f"#{value.backgroundArgb & 0xFFFFFF:06x}" if value.HasField("backgroundArgb") else None}
    return build(TextContent, text=value.text, **page, **look, font=value.font)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "conversation": _conversation,
    "extendedTextMessage": _extended,
}


def encode(content: TextContent) -> Any:
    """The `waE2E.Message` of a text; the shortest form unless it has more than words."""
    if content.link is None and content.color is None and content.font is None:
        return e2e.Message(conversation=content.text)
    made = e2e.ExtendedTextMessage(text=content.text)
    if content.link is not None:
        # with a title WhatsApp's apps show the preview, without one only the words
        made.matchedText, made.title, made.description = content.link, content.title or "", content.description or ""
    if content.thumbnail is not None:
        made.JPEGThumbnail = base64.b64decode(content.thumbnail)
    if content.color is not None:
        made.backgroundArgb, made.textArgb = 0xFF000000 | int(content.color[1:], 16), 0xFFFFFFFF
    if content.font is not None:
        made.font = content.font
    return e2e.Message(extendedTextMessage=made)
