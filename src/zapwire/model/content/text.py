"""Texts."""

from __future__ import annotations

from typing import ClassVar

from zapwire.model.content.base import Content


class TextContent(Content):
    """A text, with the link that it shows a preview of, if it does."""

    kind: ClassVar = "text"

    text: str
    link: str | None = None
    title: str | None = None
    """Of the page behind the link."""
    description: str | None = None
    """Of the page behind the link."""
    thumbnail: str | None = None
    """Of what is sent: a small JPEG of the page behind the link, base64."""
    color: str | None = None
    """Background of a status, `#rrggbb`."""
    font: int | None = None
    """Of a status, WhatsApp's number."""
