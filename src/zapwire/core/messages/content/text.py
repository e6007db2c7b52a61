"""Texts that are sent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, field_validator

from zapwire.core.messages.content.request import ContentRequest, RequestPart
from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput

LONGEST: Final = 65_536
"""Characters; WhatsApp's own limit."""


class Preview(RequestPart):
    """What is shown of the page behind a link in the text."""

    link: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^https?://[!-~]+$")]
    """As it stands in the text."""
    title: Annotated[str, Field(min_length=1, max_length=500)]
    description: Annotated[str, Field(max_length=2000)] | None = None


class TextRequest(ContentRequest):
    """A text."""

    kind: ClassVar = TextContent.kind

    type: Literal["text"] = "text"
    text: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    """1 to 65536 characters, at least one of which can be seen."""
    preview: Preview | None = None
    """Shown beside the text; nothing is fetched."""
    color: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")] | None = None
    """Background of a status: `#rrggbb`."""
    font: Literal[0, 1, 2, 6, 7, 8, 9, 10] | None = None
    """Of a status, WhatsApp's number."""

    @field_validator("text")
    @classmethod
    def _is_visible(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("a text message needs a text")
        return text

    def content(self, country: str | None, /) -> TextContent:
        """See `ContentRequest.content`."""
        shown: dict[str, Any] = {} if self.preview is None else self.preview.model_dump(exclude_none=True)
        if self.preview is not None and self.preview.link not in self.text:
            raise InvalidInput("does not stand in the text", field="preview.link")
        return TextContent(text=self.text, **shown, color=self.color, font=self.font, **self.common(country))
