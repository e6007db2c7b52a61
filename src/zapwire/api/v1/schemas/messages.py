"""Messages as JSON.

Answers are made by `zapwire.core.events.serializers`, so that they agree with events; a test holds these models against
it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zapwire.api.http.models import Answer, Body, Timestamp
from zapwire.api.http.string_formats import MessageText, Recipient
from zapwire.api.v1.schemas.bots import Restriction
from zapwire.model.content.kinds import AnyContent
from zapwire.model.content.text import TextContent
from zapwire.model.messages import MessageState, Origin, UndecryptableReason


class SendMessage(Body):
    """A message to send."""

    to: Recipient = Field(
        description="A phone number with `+` and its country code, one of the default country, or a JID."
    )
    type: Literal["text"] = Field("text", description="Only `text` so far.")
    text: MessageText = Field(description="1 to 65536 characters.")

    def content(self) -> AnyContent:
        """What the message says."""
        return TextContent(text=self.text)


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
