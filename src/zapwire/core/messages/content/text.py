"""Texts that are sent."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from zapwire.core.messages.content.request import ContentRequest, RequestPart
from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput, NotSupported
from zapwire.model.link_preview import LinkPreview

LONGEST: Final = 65_536
"""Characters; WhatsApp's own limit."""


class Preview(RequestPart):
    """What is shown of the page behind a link in the text."""

    link: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^https?://[!-~]+$")]
    """As it stands in the text."""
    title: Annotated[str, Field(min_length=1, max_length=500)]
    description: Annotated[str, Field(max_length=2000)] | None = None
    image: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^https?://[!-~]+$")] | None = None
    """Address of an image, of which a small one is shown."""


PreviewChoice = Annotated[
    Annotated[bool, Tag("(boolean)")] | Annotated[Preview, Tag("(object)")],
    Discriminator(lambda given: "(boolean)" if isinstance(given, bool) else "(object)"),
]


class TextRequest(ContentRequest):
    """A text."""

    kind: ClassVar = TextContent.kind

    type: Literal["text"] = "text"
    text: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    """1 to 65536 characters, at least one of which can be seen."""
    preview: PreviewChoice | None = None
    """Shown beside the text: what is given, or with `true` what the page behind the first link in the text says of
    itself. A page that does not answer within 5 seconds is shown without a preview."""
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

    @property
    def fetches(self) -> bool:
        """Is a page or an image fetched for it? Then its content is `of` what was found."""
        return self.preview is True or (isinstance(self.preview, Preview) and self.preview.image is not None)

    def content(self, country: str | None, /) -> TextContent:
        """See `ContentRequest.content`."""
        if self.fetches:
            raise NotSupported("nothing is fetched here: use the call for sending", field="preview")
        return self.of(None, country)

    def of(self, found: LinkPreview | None, country: str | None) -> TextContent:
        """What is sent, with what was *found* for the preview. Raises `InvalidInput`."""
        if isinstance(self.preview, Preview):
            if self.preview.link not in self.text:
                raise InvalidInput("does not stand in the text", field="preview.link")
            thumbnail = None if found is None else found.thumbnail
            found = LinkPreview(self.preview.link, self.preview.title, self.preview.description, thumbnail)
        shown: dict[str, Any] = {} if found is None else asdict(found)
        return TextContent(text=self.text, **shown, color=self.color, font=self.font, **self.common(country))
