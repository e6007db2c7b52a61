"""Messages as JSON.

Answers are made by `zapwire.core.events.serializers`, so that they agree with events; a test holds these models against
it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, RootModel, Tag

from zapwire.api.http.models import Answer, Timestamp
from zapwire.api.http.string_formats import Recipient
from zapwire.api.v1.schemas.bots import Restriction
from zapwire.api.v1.schemas.sending import Options
from zapwire.core.messages.content.business import EventRequest
from zapwire.core.messages.content.changes import DeleteRequest, EditRequest, KeepRequest, PinRequest, ReactionRequest
from zapwire.core.messages.content.interactive import ButtonsRequest, ListRequest, PollRequest, PollVoteRequest
from zapwire.core.messages.content.media import (
    AudioRequest,
    DocumentRequest,
    GifRequest,
    ImageRequest,
    StickerRequest,
    VideoNoteRequest,
    VideoRequest,
    VoiceRequest,
)
from zapwire.core.messages.content.places_and_people import ContactRequest, GroupInviteRequest, LocationRequest
from zapwire.core.messages.content.text import TextRequest
from zapwire.model.content.kinds import AnyContent
from zapwire.model.messages import MessageState, Origin, UndecryptableReason


class Send(Options):
    """What a message of any type has besides its content."""

    to: Recipient = Field(
        description="A phone number with `+` and its country code, one of the default country, or a JID."
    )


class Forward(Send):
    """Where a message is sent on to."""

    chat: Recipient | None = Field(None, description="Where the message is; needed with WhatsApp's id of it.")


class SendText(Send, TextRequest):
    """A text."""


class SendLocation(Send, LocationRequest):
    """A place."""


class SendContact(Send, ContactRequest):
    """One or more contacts."""


class SendGroupInvite(Send, GroupInviteRequest):
    """An invitation into a group, for somebody who cannot be added."""


class SendPoll(Send, PollRequest):
    """A poll."""


class SendPollVote(Send, PollVoteRequest):
    """A vote in a poll."""


class SendList(Send, ListRequest):
    """A list of which a person chooses one row; shown as a numbered text or a poll (setting `list_fallback`)."""


class SendButtons(Send, ButtonsRequest):
    """A text with buttons; shown as a numbered text or a poll (setting `list_fallback`)."""


class SendEvent(Send, EventRequest):
    """An invitation to an event."""


class SendReaction(Send, ReactionRequest):
    """A reaction to a message."""


class SendEdit(Send, EditRequest):
    """Another text for a message of this account, within 15 minutes."""


class SendDelete(Send, DeleteRequest):
    """Delete a message for everybody: one of this account, or as a group's admin somebody else's."""


class SendPin(Send, PinRequest):
    """Pin a message in its chat, or take it down."""


class SendKeep(Send, KeepRequest):
    """Keep a message in a chat with a disappearing timer, or no longer."""


class SendImage(Send, ImageRequest):
    """A picture."""


class SendVideo(Send, VideoRequest):
    """A video."""


class SendGif(Send, GifRequest):
    """A short video without sound, or an animated picture, shown again and again."""


class SendVideoNote(Send, VideoNoteRequest):
    """A video that is shown as a circle."""


class SendAudio(Send, AudioRequest):
    """Sound."""


class SendVoice(Send, VoiceRequest):
    """Sound as if it was recorded in the chat."""


class SendDocument(Send, DocumentRequest):
    """Any other file."""


class SendSticker(Send, StickerRequest):
    """A sticker."""


def _type_of(body: Any) -> Any:
    """A body without `type` is a text."""
    return body.get("type", TextRequest.kind) if isinstance(body, dict) else getattr(body, "type", None)


class SendMessage(RootModel[Annotated[
    Annotated[SendText, Tag("text")]
    | Annotated[SendLocation, Tag("location")]
    | Annotated[SendContact, Tag("contact")]
    | Annotated[SendGroupInvite, Tag("group_invite")]
    | Annotated[SendPoll, Tag("poll")]
    | Annotated[SendPollVote, Tag("poll_vote")]
    | Annotated[SendList, Tag("list")]
    | Annotated[SendButtons, Tag("buttons")]
    | Annotated[SendEvent, Tag("event")]
    | Annotated[SendReaction, Tag("reaction")]
    | Annotated[SendEdit, Tag("edit")]
    | Annotated[SendDelete, Tag("delete")]
    | Annotated[SendPin, Tag("pin")]
    | Annotated[SendKeep, Tag("keep")]
    | Annotated[SendImage, Tag("image")]
    | Annotated[SendVideo, Tag("video")]
    | Annotated[SendGif, Tag("gif")]
    | Annotated[SendVideoNote, Tag("video_note")]
    | Annotated[SendAudio, Tag("audio")]
    | Annotated[SendVoice, Tag("voice")]
    | Annotated[SendDocument, Tag("document")]
    | Annotated[SendSticker, Tag("sticker")],
    Discriminator(_type_of),
]]):  # fmt: skip
    """A message to send; its fields depend on `type`, which is `text` when it is left out."""


class Party(Answer):
    """A person or a group."""

    id: str | None = Field(
        description="Of a person `prs_...`, the same whichever address is used; of a group its JID. Null only where "
        "the stored address is damaged."
    )
    jid: str = Field(description="The address that was known first; answer to it.")
    phone: str | None
    lid: str | None


class OutgoingMessage(Answer):
    """A message handed in for sending, and how far it got."""

    id: str
    bot: str
    to: Party
    type: str
    content: AnyContent = Field(description="By `type`; a field that has its default is left out.")
    text: str | None = None
    state: MessageState
    reason: str | None = Field(description="Why it failed or waits, in words.")
    limit: Restriction | None = Field(
        None,
        description="In answers: the limit on the account that the message waits for, or will meet; docs/api.md.",
    )
    whatsapp_id: str | None
    client_ref: str | None
    metadata: dict[str, Any] | None
    send_at: Timestamp | None = Field(description="When it is to be sent, if that is still to come.")
    sent_at: Timestamp | None = Field(description="When WhatsApp took it.")
    code: str | None = Field(
        description="Why it waits: `new-chats`, `rate`, `quiet-hours` (docs/pacing.md), or the kind of the limit."
    )
    retry_at: Timestamp | None = Field(description="Until when it waits for that, if that is known.")
    resend_of: str | None = Field(description="The message that it repeats.")
    created_at: Timestamp
    updated_at: Timestamp


class ReceivedMessage(Answer):
    """A message that came in."""

    id: str
    chat: Party
    sender: Party
    from_me: bool
    timestamp: Timestamp
    type: str
    content: AnyContent = Field(description="By `type`; a field that has its default is left out.")
    text: str | None = None
    push_name: str | None
    origin: Origin = Field(description="Where it was written.")


class KeptMessage(Answer):
    """A message that came in, as much of it as is kept."""

    id: str
    chat: Party
    sender: Party
    from_me: bool
    timestamp: Timestamp
    type: str = Field(description="Also `undecryptable`.")
    content: AnyContent = Field(description="By `type`; a field that has its default is left out.")
    text: str | None = None
    push_name: str | None


class ListedMessage(Answer):
    """One message of a list: what was sent, or what came in."""

    direction: Literal["in", "out"]
    timestamp: Timestamp
    sent: OutgoingMessage | None
    received: KeptMessage | None


class RecipientStatus(Answer):
    """How far a message got with one of several recipients."""

    recipient: Party
    state: Literal["delivered", "read", "played"]
    at: Timestamp


class RecipientList(Answer):
    """The recipients of a message that said anything, the first one first; empty for a chat with one person."""

    recipients: list[RecipientStatus]


class MessageList(Answer):
    """A page of messages, the newest first."""

    messages: list[ListedMessage]
    next: str | None = Field(description="Give it as `before` for the next page; null: there is none.")


class PollOption(Answer):
    """An option of a poll."""

    title: str
    votes: int = Field(description="People whose newest vote is for it.")


class PollStanding(Answer):
    """How a poll stands."""

    message_id: str = Field(description="Of the poll, WhatsApp's.")
    question: str
    options: list[PollOption]
    voters: int = Field(description="People whose newest vote chooses something.")


class ReceivedVote(ReceivedMessage):
    """A vote in a poll."""

    poll: PollStanding | None = Field(description="With this vote; null where the poll is not known.")


class UndecryptableMessage(Answer):
    """A message that came in and cannot be decrypted or read; as much of it as is known."""

    id: str | None = Field(description="`message.received` with the same id may follow.")
    chat: Party | None
    sender: Party | None
    from_me: bool
    timestamp: Timestamp | None
    reason: UndecryptableReason
    kind: str | None = Field(description="WhatsApp's word for what is unavailable, as `view_once`.")
    hidden: bool = Field(description="WhatsApp's own apps show nothing in its place: a reaction, an edit, a vote.")
    push_name: str | None
    origin: Origin
