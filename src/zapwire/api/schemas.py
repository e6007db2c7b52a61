"""The JSON of requests and answers as pydantic models: they check requests and make up the OpenAPI document.

Answers are made by `zapwire.core.codec`, so that they agree with events; a test holds these models against it.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from zapwire.api.shapes import (
    Base64,
    Country,
    Digits,
    MessageText,
    Name,
    NewId,
    NewPassphrase,
    Phone,
    ProxyUrl,
    Recipient,
)
from zapwire.events import EventType
from zapwire.model import BotState, MessageState, Origin, UndecryptableReason


class Body(BaseModel):
    """Of a request: an unknown field is an error, and "yes" is not a boolean."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Answer(BaseModel):
    """Of an answer: exactly these fields."""

    model_config = ConfigDict(extra="forbid")


Timestamp = str


class CreateBot(Body):
    """A new bot."""

    id: NewId | None = Field(None, description="Slug `[a-z0-9][a-z0-9-]{0,62}`; made when absent.")
    name: Name | None = Field(None, description="For people; the id when absent.")
    autostart: bool = Field(True, description="Connect now and after every start of the daemon.")  # noqa: FBT003
    proxy: ProxyUrl | None = Field(
        None, description="`http://` or `socks5://user:password@host:port` that it connects through; null: none."
    )
    proxy_check: bool = Field(True, description="Refuse a proxy that does not lead to WhatsApp now.")  # noqa: FBT003
    default_country: Country | None = Field(
        None, description="In which numbers without a country code are dialled, like `BR`; null: that of the daemon."
    )
    auth_state: Literal["adopt", "destroy"] | None = Field(
        None,
        description="What becomes of auth state that lies there under this id and that the database does not know: "
        "`adopt` goes on as the account that it is linked to, `destroy` deletes it. Without it: 409.",
    )


class UpdateBot(Body):
    """What to change of a bot; absent fields stay."""

    name: Name | None = Field(None, description="For people.")
    autostart: bool | None = Field(None, description="Connect after every start of the daemon.")
    proxy: ProxyUrl | None = Field(
        None,
        description="`http://` or `socks5://user:password@host:port` for a new connection; null: none.",
    )
    proxy_check: bool = Field(True, description="Refuse a proxy that does not lead to WhatsApp now.")  # noqa: FBT003
    default_country: Country | None = Field(
        None, description="In which numbers without a country code are dialled, like `BR`; null: that of the daemon."
    )


class Health(Answer):
    """Does WhatsApp answer on the bot's connection."""

    healthy: bool = Field(description="Connected, and something came in or was answered lately.")
    last_seen: Timestamp | None = Field(description="When something last came in, or a probe was answered.")
    probe_failures: int = Field(description="Probes in a row that were not answered.")
    last_answer: Timestamp | None = Field(description="When the last probe was answered.")
    round_trip: float | None = Field(description="Seconds that this answer took.")


class Restriction(Answer):
    """A limit that WhatsApp put on the account."""

    kind: str = Field(description="`first-messages`, `rate`, or the `code` of a blocked bot; docs/api.md lists them.")
    reason: str
    since: Timestamp
    until: Timestamp | None = Field(description="When it is tried again by itself; null: not by itself.")
    retry_after: int | None = Field(description="Seconds until then.")
    error: int | None = Field(description="WhatsApp's error number, if it gave one.")


class HistoryEntry(Answer):
    """A state that a bot was in, from `since` until the next entry's."""

    n: int = Field(description="Grows with time; for `before`.")
    state: BotState
    code: str | None
    reason: str | None
    action: str | None
    since: Timestamp
    repeated: int = Field(description="How often it was the same again: attempts that failed alike.")
    last: Timestamp = Field(description="When it was so last.")


class History(Answer):
    """A page of a bot's history, newest first."""

    history: list[HistoryEntry]
    next_before: int | None = Field(description="`before` for the next page; null at the end.")


class Bot(Answer):
    """A bot and what it is doing."""

    id: str
    name: str
    autostart: bool
    state: BotState = Field(description="What the bot is doing; docs/api.md explains each state.")
    code: str | None = Field(description="What is the matter, for programs; docs/api.md lists the codes.")
    reason: str | None = Field(description="Why it is in this state, in words.")
    since: Timestamp = Field(description="Since when, ISO 8601 in UTC.")
    action: str | None = Field(description="What a person should do next, in plain words; null when nothing.")
    next_try: Timestamp | None = Field(description="When it tries again by itself.")
    phone: str | None = Field(description="E.164 number of the linked account.")
    lid: str | None = Field(description="Hidden identity of the linked account, `<digits>@lid`.")
    push_name: str | None
    created_at: Timestamp | None
    proxy: str | None = Field(description="The proxy that it connects through, without the password.")
    default_country: str | None = Field(
        description="In which numbers without a country code are dialled; null: that of the daemon, if it has one."
    )
    health: Health | None = Field(description="Null while nobody wants it connected.")
    restriction: Restriction | None
    actions: list[str] = Field(description="The calls that make sense now; docs/api.md lists them.")


class BotList(Answer):
    """All bots, by creation."""

    bots: list[Bot]


class ExportBot(Body):
    """What to seal a bot's state with."""

    passphrase: NewPassphrase = Field(description="At least 12 characters; the bundle opens with nothing else.")
    move: bool = Field(
        False,  # noqa: FBT003 - pydantic's way to say the default
        description="Stop the bot and never start it here again. Without it the bundle is a backup: a bot that has "
        "gone on since makes it worthless.",
    )


class ImportBot(Body):
    """A bundle, made by an export."""

    bundle: Base64 = Field(description="The bundle in base64.")
    passphrase: str = Field(description="What it was sealed with.")
    id: NewId | None = Field(None, description="Another id than it had.")
    start: bool = Field(True, description="Connect it at once.")  # noqa: FBT003 - as above


class Qr(Answer):
    """A QR code to scan under Linked devices; it expires after some 20 to 60 seconds and a new one follows."""

    code: str = Field(description="The QR code's text.")
    image: str = Field(description="The QR code as a PNG in a data URL.")
    expires_at: Timestamp
    attempt: int = Field(description="1 for the first code since pairing began.")


class PairByCode(Body):
    """The phone to link."""

    phone: Phone = Field(
        description="Its number with `+` and country code, like +4915123456789, or one of the default country."
    )


class PairingCode(Answer):
    """The code to type on the phone under Linked devices, Link with phone number instead."""

    code: str
    expires_at: Timestamp


class SendMessage(Body):
    """A message to send."""

    to: Recipient = Field(
        description="A phone number with `+` and its country code, one of the default country, or a JID."
    )
    type: Literal["text"] = Field("text", description="Only `text` so far.")
    text: MessageText = Field(description="1 to 65536 characters.")


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
    content: dict[str, Any]
    text: str | None = None
    state: MessageState
    reason: str | None = Field(description="Why it failed or waits, in words.")
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
    content: dict[str, Any]
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


class Event(Answer):
    """One line of the journal: also one WebSocket frame, and one webhook body."""

    id: str = Field(description="The same over all retries.")
    seq: int = Field(description="Position in the journal; each is one more than the one before.")
    type: EventType
    timestamp: Timestamp
    bot: str | None = Field(description="null when the event is about no bot.")
    data: dict[str, Any] = Field(description="By type; the document's webhooks describe each.")


class EventGap(Answer):
    """Events that were pruned before the reader came to them; both ends included."""

    from_seq: int = Field(alias="from")
    to_seq: int = Field(alias="to")


class EventPage(Answer):
    """Events from the journal, oldest first."""

    events: list[Event]
    next_after: int = Field(description="Pass this as `after` to go on.")
    last_seq: int = Field(description="The newest event there is; `after` this one, only new events follow.")
    gap: EventGap | None = Field(description="What lay between `after` and these events and is no longer kept.")


class Live(Answer):
    """The process is there."""

    status: Literal["ok"]


class Ready(Answer):
    """The daemon can do its work."""

    status: Literal["ready"]
    version: str
    whatsapp_server: str = Field(description="`WhatsApp`, or the address of another server: then nothing is real.")
    warnings: list[str] = Field(description="What is weak about this installation, in words.")
    started_at: Timestamp | None
    started_because: str | None = Field(description="How the run before ended: docs/operating.md lists the words.")
    alerts: list[str] = Field(description="Kinds of the `daemon.alert` events that are not over.")


class SandboxInfo(Answer):
    """The sandbox that stands in for WhatsApp."""

    socket_url: str
    page: str = Field(description="Where the sandbox shows its virtual phones.")


class Scan(Body):
    """Let a virtual phone scan the bot's present QR code."""

    bot: str
    phone: Digits | None = Field(
        None, description="Digits of the virtual phone; each bot has one of its own when absent."
    )


class Scanned(Answer):
    """The virtual phone scanned it."""

    phone: str | None
    lid: str | None = None


class Fault(Answer):
    """One fault of a body that has several."""

    field: str
    detail: str


class Problem(Answer):
    """RFC 9457 problem."""

    type: str = Field(description="`urn:zapwire:problem:<code>`")
    title: str
    status: int
    detail: str = Field(description="What is wrong and what to do, in words.")
    code: str = Field(description="Stable; for programs.")
    field: str | None = Field(None, description="The input at fault.")
    errors: list[Fault] | None = Field(None, description="All faults, when there are several.")
