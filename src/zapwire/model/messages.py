"""Messages, and who takes part in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType

from zapwire.model.bots import BotId, Restriction
from zapwire.model.content.kinds import AnyContent
from zapwire.model.jid import GROUP_SERVER
from zapwire.model.media import MediaFile, RemoteFile

MessageId = NewType("MessageId", str)
"""Of a received message WhatsApp's id; of a sent one ours (`msg_...`), as WhatsApp's is not known beforehand."""

DAMAGED_ROW: Final = "its row in the database is damaged"
"""Why a message fails that cannot be read any more."""


@dataclass(frozen=True, slots=True)
class Party:
    """A chat or a person: an address, and both of its names as far as they are known."""

    jid: str
    """`<digits>@s.whatsapp.net`, `<digits>@lid` or `<digits>@g.us`, never with a device part."""
    phone: str | None = None
    """E.164 with the plus sign."""
    lid: str | None = None
    """`<digits>@lid`."""
    id: str | None = None
    """Of a person, whichever address is used: `prs_...`; of a group or list its JID. None until it is stored."""


class Origin(StrEnum):
    """Where a message was written, which says what kind of chat it is in."""

    PERSON = "person"
    """To this account alone."""
    GROUP = "group"
    STATUS = "status"
    """A status post ("story") of a contact; the chat is `status@broadcast`."""
    CHANNEL = "channel"
    """A post in a channel (newsletter)."""
    BROADCAST = "broadcast"
    """To a broadcast list of its sender's. It belongs to the sender's own chat, except in the owner's own lists."""
    OTHER = "other"
    """In a kind of chat that is not known here."""


@dataclass(frozen=True, slots=True)
class PollCount:
    """How a poll stands."""

    message_id: str
    """Of the poll, WhatsApp's."""
    question: str
    options: tuple[tuple[str, int], ...]
    """Each with the number of people who choose it."""
    voters: int
    """People whose newest vote chooses something."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that came in over a bot's connection (also the account's own, sent from its phone)."""

    id: MessageId
    chat: Party
    sender: Party
    from_me: bool
    timestamp: datetime
    content: AnyContent
    push_name: str | None = None
    origin: Origin = Origin.PERSON
    vote: tuple[bytes, ...] | None = None
    """Of a vote in a poll: the SHA-256 of each option that was chosen; None when it could not be decrypted."""
    file: RemoteFile | None = None
    """Where the file that it carries lies."""
    poll: PollCount | None = None
    """Of a vote in a poll: how the poll stands with it, as far as the poll is known."""

    @property
    def type(self) -> str:
        """The kind of its content."""
        return self.content.kind


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that came in, as much of it as is kept."""

    whatsapp_id: str
    sender: Party
    from_me: bool
    timestamp: datetime
    content: AnyContent
    """`UnknownContent` when the stored one is damaged, or when it could not be read."""


@dataclass(frozen=True, slots=True)
class ListedMessage:
    """A message that came in, as a list shows it."""

    id: MessageId
    chat: Party
    sender: Party
    from_me: bool
    timestamp: datetime
    type: str
    content: AnyContent
    """`UnknownContent` when the stored one is damaged, or when it could not be read."""
    push_name: str | None


@dataclass(frozen=True, slots=True)
class PagePlace:
    """A place in the list of a bot's messages, newest first: behind the message with this moment and id."""

    moment: datetime
    id: str


class UndecryptableReason(StrEnum):
    """Why a message can not be told."""

    UNAVAILABLE = "unavailable"
    """Its sender's phone, or WhatsApp, gave this device no copy: view-once messages, and what was sent before the
    device was linked."""
    NOT_DECRYPTED = "not-decrypted"
    """The copy for this device does not open. The sender's device is asked for another one, so it may still come."""
    UNREADABLE = "unreadable"
    """It opens, and is nothing that this version of the engine can read."""
    INTERNAL_ERROR = "internal-error"
    """An internal error; the raw message is kept, sealed, and the log names the file."""


@dataclass(frozen=True, slots=True)
class Undecryptable:
    """A message that arrived and cannot be told; as much of it as is known."""

    reason: UndecryptableReason
    id: MessageId | None = None
    """As in `Message`: a message with this id may still follow."""
    chat: Party | None = None
    sender: Party | None = None
    from_me: bool = False
    timestamp: datetime | None = None
    kind: str | None = None
    """Of what is unavailable, WhatsApp's word: `view_once`, ..."""
    hidden: bool = False
    """WhatsApp's own apps show nothing in its place: it is a reaction, an edit, a vote or the like."""
    push_name: str | None = None
    origin: Origin = Origin.OTHER


@dataclass(frozen=True, slots=True)
class MessageRef:
    """An earlier message that another one is about."""

    whatsapp_id: str
    from_me: bool
    sender: Party | None
    """Its author; None: this account."""
    sent_at: datetime
    content: AnyContent
    key: str = ""
    """Tells it from all other messages of the bot: WhatsApp's ids are unique only within one chat."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to send."""

    to: str
    """A JID as in `Party.jid`."""
    content: AnyContent
    target: MessageRef | None = None
    """The message that the content changes or is about: of reactions, edits, deletions, pins, votes."""
    quoted: MessageRef | None = None
    """The message that it answers."""
    media: MediaFile | None = None
    """The file that it carries, uploaded."""

    @property
    def in_group(self) -> bool:
        """Does it go to a group?"""
        return self.to.endswith(f"@{GROUP_SERVER}")


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp's server took the message."""

    whatsapp_id: str
    timestamp: datetime
    to: Party | None = None
    """The account that it went to, when WhatsApp names another one than the message did."""


class MessageState(StrEnum):
    """Where an outgoing message is; it only moves forward."""

    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    PLAYED = "played"
    FAILED = "failed"
    EXPIRED = "expired"
    """It was not sent before its deadline."""
    CANCELLED = "cancelled"
    """Somebody took it back before it was sent."""
    UNKNOWN = "unknown"
    """The daemon died between handing it to WhatsApp and learning the answer; never silently sent again."""


@dataclass(frozen=True, slots=True)
class Notes:
    """What a caller wants to be told again with a message; it means nothing here."""

    client_ref: str | None = None
    metadata: Mapping[str, Any] | None = None

    @property
    def empty(self) -> bool:
        """Is there nothing?"""
        return self.client_ref is None and self.metadata is None


@dataclass(frozen=True, slots=True)
class OutgoingView:
    """An outgoing message as the API shows it."""

    id: MessageId
    bot: BotId
    to: Party
    type: str
    content: AnyContent
    """`UnknownContent` when the stored one is damaged, whatever its type is."""
    state: MessageState
    reason: str | None
    whatsapp_id: str | None
    created_at: datetime
    updated_at: datetime
    notes: Notes = field(default_factory=Notes)
    send_at: datetime | None = None
    """When it is to be sent, if that is still to come."""
    sent_at: datetime | None = None
    """When WhatsApp took it."""
    resend_of: str | None = None
    """The message that it repeats."""
    code: str | None = None
    """Why it waits, for programs."""
    retry_at: datetime | None = None
    """Until when it waits for that, as far as that is known."""
    limit: Restriction | None = None
    """What WhatsApp put on the account that the message waits for, or will meet; not stored with it."""


@dataclass(frozen=True, slots=True)
class RecipientState:
    """How far a message got with one of several recipients."""

    recipient: Party
    state: MessageState
    """`delivered`, `read` or `played`."""
    at: datetime


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to store."""

    id: MessageId
    bot: BotId
    chat: str
    content: AnyContent
    digest: bytes
    """SHA-256 of the request, to tell a repetition from another message under the same key."""
    created_at: datetime
    deadline: datetime
    key: str | None = None
    account: int = 0
    """Which of the accounts that its bot had in turn it is meant for."""
    notes: Notes = field(default_factory=Notes)
    due: datetime | None = None
    """When it is to be sent; None: at once."""
    resend_of: str | None = None
    """The message that it repeats."""
    deadline_given: bool = False
    """Somebody wants that deadline; else it is the usual one."""


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message that is not sent yet."""

    n: int
    """Its number: the order in which messages were stored."""
    id: MessageId
    chat: str
    """The JID that it goes to."""
    to: Party
    """Whose that is."""
    deadline: datetime
    due: datetime
    attempts: int = 0
    account: int = 0
    """Which of the accounts that its bot had in turn it is meant for."""
    has_file: bool = False
    """It carries a file, which is uploaded before it is sent."""
    scheduled: bool = False
    """Somebody wants it to be sent when it is due, and holds nobody up until then; else it is retried then."""
    paced: bool = False
    """It waits by its bot's pacing until it is due."""


@dataclass(frozen=True, slots=True)
class KnownParty:
    """What is known of a party."""

    party: Party
    """With its id, and one phone number and LID, if it has any."""
    addresses: tuple[str, ...]
    """All its JIDs, the one that names it first."""
    gone: tuple[str, ...] = ()
    """Ids that were other persons' until now."""
    settled: bool = False
    """It was never called otherwise than by its first address: nothing is kept under another one."""
    stored_as: dict[str, list[bytes]] = field(default_factory=dict, compare=False, repr=False)
    """A cache of the store: the addresses as it keeps them, by column."""
