"""Values: what the program talks about. Frozen, plain, standard library only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NewType

BotId = NewType("BotId", str)
"""A slug, `[a-z0-9][a-z0-9-]{0,62}`; never used as a path without that check."""

NO_BOT: Final = BotId("")
"""Whom an event concerns that is about no bot; outside it is shown as null."""

MessageId = NewType("MessageId", str)
"""Of a received message WhatsApp's id; of a sent one ours (`msg_...`), as WhatsApp's is not known beforehand."""


class BotState(StrEnum):
    """What a bot is doing, as a user sees it."""

    STOPPED = "stopped"
    """Nobody wants it connected."""
    STARTING = "starting"
    """On its way to a QR code or to a connection."""
    PAIRING = "pairing"
    """Shows a QR code or a pairing code and waits for a phone."""
    PAIRING_TIMED_OUT = "pairing_timed_out"
    """Nobody scanned; a connect or a QR refresh starts over."""
    CONNECTED = "connected"
    """Linked, online, sending and receiving."""
    RECONNECTING = "reconnecting"
    """Lost or could not reach WhatsApp; tries again by itself, `reason` says when."""
    LOGGED_OUT = "logged_out"
    """The phone removed this device; pair again."""
    BLOCKED = "blocked"
    """WhatsApp refuses it; a person has to act."""


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
class Message:
    """A message that came in over a bot's connection (also the account's own, sent from its phone)."""

    id: MessageId
    chat: Party
    sender: Party
    from_me: bool
    timestamp: datetime
    type: str
    """text, image, video, audio, document, sticker, location, contact, reaction, edit, revoke, ... or `unknown`."""
    content: dict[str, Any]
    """By type; a text is `{"text": ...}`."""
    push_name: str | None = None
    origin: Origin = Origin.PERSON


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
    """A fault of ours; the raw message is kept, sealed, and the log names the file."""


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
class Outgoing:
    """A message to send."""

    to: str
    """A JID as in `Party.jid`."""
    type: str
    content: dict[str, Any]


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
    UNKNOWN = "unknown"
    """The daemon died between handing it to WhatsApp and learning the answer; never silently sent again."""


@dataclass(frozen=True, slots=True)
class QrCode:
    """One QR code of a pairing; a new one follows when it expires."""

    code: str
    expires_at: datetime
    attempt: int
    """1 for the first code since pairing began."""


@dataclass(frozen=True, slots=True)
class PairingCode:
    """The code to type on the phone under "Link with phone number"."""

    code: str
    """`ABCD-EFGH`."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Identity:
    """The account a bot is linked to."""

    phone: str | None = None
    lid: str | None = None
    push_name: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Does WhatsApp answer on a bot's connection."""

    healthy: bool
    """Connected, and something came in or was answered lately; silence is never healthy."""
    last_seen: datetime | None
    """When something last came in: a message, a receipt, the answer to a send or to a probe."""
    probe_failures: int
    """Probes in a row that were not answered."""
    last_answer: datetime | None
    """When the last probe was answered."""
    round_trip: float | None
    """Seconds that answer took."""


@dataclass(frozen=True, slots=True)
class Restriction:
    """A limit that WhatsApp put on an account."""

    kind: str
    """`first-messages` (463: no new chats), `rate` (429: no messages at all), or the code of a halted bot's state."""
    reason: str
    since: datetime
    until: datetime | None
    """When it is tried again; None: not by itself."""
    error: int | None = None
    """WhatsApp's error number, if it gave one."""


@dataclass(frozen=True, slots=True)
class BotView:
    """A bot as the API shows it."""

    id: BotId
    name: str
    autostart: bool
    state: BotState
    reason: str | None
    since: datetime
    action: str | None
    """What a person should do next, in plain words; null when nothing."""
    next_try: datetime | None
    identity: Identity = field(default_factory=Identity)
    created_at: datetime | None = None
    code: str | None = None
    """What is the matter, for programs (`errors.Condition`); None when nothing is."""
    restriction: Restriction | None = None
    proxy: str | None = None
    """The URL of the bot's own proxy, without its password."""
    default_country: str | None = None
    """ISO 3166, in which numbers without a country code are dialled; None: that of the daemon, if it has one."""
    actions: tuple[str, ...] = ()
    """What makes sense to ask of it now: see `core/actions.py`."""
    health: Health | None = field(default=None, compare=False)
    """None while nobody wants it connected, or before it ever was; no part of what makes two views differ."""


@dataclass(frozen=True, slots=True)
class OutgoingView:
    """An outgoing message as the API shows it."""

    id: MessageId
    bot: BotId
    to: Party
    type: str
    content: dict[str, Any]
    state: MessageState
    reason: str | None
    whatsapp_id: str | None
    created_at: datetime
    updated_at: datetime
