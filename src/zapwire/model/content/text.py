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
