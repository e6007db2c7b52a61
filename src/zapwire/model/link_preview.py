"""What is shown of a page behind a link."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkPreview:
    """A page in short."""

    link: str
    """As it stands in the text."""
    title: str
    description: str | None = None
    thumbnail: str | None = None
    """A small JPEG, base64."""
