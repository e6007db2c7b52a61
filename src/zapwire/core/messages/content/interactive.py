"""Polls, votes, lists and buttons that are sent."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field

from zapwire.core.messages.content.changes import ChangeRequest
from zapwire.core.messages.content.request import ContentRequest, RequestPart, Words
from zapwire.model.content.interactive import (
    Button,
    ButtonsContent,
    ListContent,
    ListRow,
    ListSection,
    PollContent,
    PollVoteContent,
)
from zapwire.model.errors import InvalidInput

OPTIONS: Final = (2, 12)
"""Of a poll."""
MOST_ROWS: Final = 24
"""Of a list in all; as a numbered text more would not be read."""
MOST_BUTTONS: Final = 10
QUESTION: Final = 255
OPTION: Final = 100
"""Characters."""
Option = Annotated[str, Field(min_length=1, max_length=OPTION)]
_Title = Annotated[str, Field(min_length=1, max_length=100)]
_Id = Annotated[str, Field(min_length=1, max_length=256)]


class PollRequest(ContentRequest):
    """A poll."""

    kind: ClassVar = PollContent.kind

    type: Literal["poll"]
    question: Annotated[str, Field(min_length=1, max_length=QUESTION)]
    options: Annotated[list[Option], Field(min_length=OPTIONS[0], max_length=OPTIONS[1])]
    """2 to 12, no two alike."""
    selectable: Annotated[int, Field(ge=0, le=OPTIONS[1])] = 1
    """How many options a person may choose; 0: any number."""

    def content(self, country: str | None, /) -> PollContent:
        """See `ContentRequest.content`."""
        if len({*self.options}) < len(self.options):
            raise InvalidInput("two options are alike", field="options")
        if self.selectable > len(self.options):
            raise InvalidInput("more than there are options", field="selectable")
        said: dict[str, Any] = {
            "question": self.question,
            "options": tuple(self.options),
            "selectable": self.selectable,
        }
        return PollContent(**said, **self.common(country))


class PollVoteRequest(ChangeRequest):
    """A vote in a poll."""

    kind: ClassVar = PollVoteContent.kind

    type: Literal["poll_vote"]
    options: Annotated[list[Option], Field(max_length=OPTIONS[1])]
    """All that is chosen, in the words of the poll; empty: the vote is taken back."""

    def content(self, _: str | None, /) -> PollVoteContent:
        """See `ContentRequest.content`."""
        self.changes_only()
        return PollVoteContent(message_id=self.message_id, options=tuple(self.options))


class RowInput(RequestPart):
    """What can be chosen of a list."""

    id: _Id
    """Comes back when a person chooses it."""
    title: _Title
    description: Annotated[str, Field(max_length=200)] | None = None


class SectionInput(RequestPart):
    """Rows under a title."""

    title: _Title | None = None
    rows: Annotated[list[RowInput], Field(min_length=1, max_length=MOST_ROWS)]


class ListRequest(ContentRequest):
    """A list of which a person chooses one row."""

    kind: ClassVar = ListContent.kind

    type: Literal["list"]
    text: Words
    title: _Title | None = None
    footer: Annotated[str, Field(max_length=200)] | None = None
    button: _Title | None = None
    """What opens the list, where it is shown as one."""
    sections: Annotated[list[SectionInput], Field(min_length=1, max_length=MOST_ROWS)]

    def content(self, country: str | None, /) -> ListContent:
        """See `ContentRequest.content`."""
        ids = [row.id for section in self.sections for row in section.rows]
        if len(ids) > MOST_ROWS:
            raise InvalidInput(f"more than {MOST_ROWS} rows in all", field="sections")
        if len({*ids}) < len(ids):
            raise InvalidInput("two rows have the same id", field="sections")
        sections = tuple(
            ListSection(title=section.title, rows=tuple(ListRow(**row.model_dump()) for row in section.rows))
            for section in self.sections
        )
        names: dict[str, Any] = {"title": self.title, "footer": self.footer, "button": self.button}
        return ListContent(text=self.text, **names, sections=sections, **self.common(country))


class ButtonInput(RequestPart):
    """A button: `id` for one that answers, `url` for one that opens a page, `phone` for one that calls."""

    title: _Title
    id: _Id | None = None
    url: Annotated[str, Field(max_length=2048, pattern=r"^https?://[!-~]+$")] | None = None
    phone: Annotated[str, Field(max_length=64)] | None = None


class ButtonsRequest(ContentRequest):
    """A text with buttons."""

    kind: ClassVar = ButtonsContent.kind

    type: Literal["buttons"]
    text: Words
    title: _Title | None = None
    footer: Annotated[str, Field(max_length=200)] | None = None
    buttons: Annotated[list[ButtonInput], Field(min_length=1, max_length=MOST_BUTTONS)]

    def content(self, country: str | None, /) -> ButtonsContent:
        """See `ContentRequest.content`."""
        for place, one in enumerate(self.buttons):
            if sum(value is not None for value in (one.id, one.url, one.phone)) != 1:
                raise InvalidInput("give one of id, url and phone", field=f"buttons.{place}")
        ids = [one.id for one in self.buttons if one.id is not None]
        if len({*ids}) < len(ids):
            raise InvalidInput("two buttons have the same id", field="buttons")
        names: dict[str, Any] = {"title": self.title, "footer": self.footer}
        buttons = tuple(Button(**one.model_dump()) for one in self.buttons)
        return ButtonsContent(text=self.text, **names, buttons=buttons, **self.common(country))
