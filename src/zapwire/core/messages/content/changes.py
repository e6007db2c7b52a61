"""Changes of earlier messages that are sent: reactions, edits, deletions, pins, kept messages."""

from __future__ import annotations

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from zapwire.core.messages.content.request import ContentRequest, MessageIdText
from zapwire.core.messages.content.text import LONGEST
from zapwire.model.content.changes import DeleteContent, KeepContent, PinContent, ReactionContent
from zapwire.model.content.kinds import EditContent
from zapwire.model.content.text import TextContent
from zapwire.model.errors import InvalidInput

PIN_SECONDS: Final = (86_400, 604_800, 2_592_000)
"""What WhatsApp's apps offer: a day, a week, 30 days."""


class ChangeRequest(ContentRequest):
    """Is about an earlier message."""

    message_id: MessageIdText
    """Of a message in the same chat, ours (`msg_...`) or WhatsApp's."""

    def changes_only(self) -> None:
        """Raise `InvalidInput` when it is to answer or mention somebody as well."""
        if self.reply_to is not None:
            raise InvalidInput("not with this type: `message_id` says what it is about", field="reply_to")
        if self.mentions:
            raise InvalidInput("not with this type", field="mentions")


class ReactionRequest(ChangeRequest):
    """A reaction."""

    kind: ClassVar = ReactionContent.kind

    type: Literal["reaction"]
    emoji: Annotated[str, Field(max_length=64)]
    """Empty: the reaction is taken back."""

    def content(self, _: str | None, /) -> ReactionContent:
        """See `ContentRequest.content`."""
        self.changes_only()
        return ReactionContent(message_id=self.message_id, emoji=self.emoji)


class EditRequest(ChangeRequest):
    """Another text for a message of this account, within 15 minutes."""

    kind: ClassVar = EditContent.kind

    type: Literal["edit"]
    text: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    """The new text."""

    def content(self, country: str | None, /) -> EditContent:
        """See `ContentRequest.content`."""
        if self.reply_to is not None:
            raise InvalidInput("an edit keeps what the message answers", field="reply_to")
        if not self.text.strip():
            raise InvalidInput("a text message needs a text", field="text")
        new = TextContent(text=self.text, **self.common(country))
        return EditContent(message_id=self.message_id, type=new.kind, content=new)


class DeleteRequest(ChangeRequest):
    """Delete a message for everybody: one of this account, or as a group's admin somebody else's."""

    kind: ClassVar = DeleteContent.kind

    type: Literal["delete"]

    def content(self, _: str | None, /) -> DeleteContent:
        """See `ContentRequest.content`."""
        self.changes_only()
        return DeleteContent(message_id=self.message_id)


class PinRequest(ChangeRequest):
    """Pin a message in its chat, or take it down."""

    kind: ClassVar = PinContent.kind

    type: Literal["pin"]
    pinned: bool = True
    seconds: Literal[86_400, 604_800, 2_592_000] = PIN_SECONDS[1]
    """How long it stays pinned: a day, a week or 30 days."""

    def content(self, _: str | None, /) -> PinContent:
        """See `ContentRequest.content`."""
        self.changes_only()
        seconds = self.seconds if self.pinned else None
        return PinContent(message_id=self.message_id, pinned=self.pinned, seconds=seconds)


class KeepRequest(ChangeRequest):
    """Keep a message in a chat with a disappearing timer, or no longer."""

    kind: ClassVar = KeepContent.kind

    type: Literal["keep"]
    kept: bool = True

    def content(self, _: str | None, /) -> KeepContent:
        """See `ContentRequest.content`."""
        self.changes_only()
        return KeepContent(message_id=self.message_id, kept=self.kept)
