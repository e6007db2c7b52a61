"""Bots as JSON.

Answers are made by `zapwire.core.events.serializers`, so that they agree with events; a test holds these models against
it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from zapwire.api.http.models import Answer, Body, Timestamp
from zapwire.api.http.string_formats import Base64, Country, DeviceName, Name, NewId, NewPassphrase, ProxyUrl
from zapwire.model.bots import BotState, TransportKind
from zapwire.model.ignoring import MOST, PATTERN, WORDS
from zapwire.model.pairing import PLATFORMS, TIMEOUTS, PairingStep

Ignore = Annotated[
    list[Annotated[str, Field(pattern=f"^({'|'.join(WORDS)}|{PATTERN.pattern})$")]], Field(max_length=MOST)
]


class PairingOptionsBody(Body):
    """How a bot presents itself when it is paired; what is absent or null is as the settings say."""

    device_name: DeviceName | None = Field(None, description="What the phone lists under Linked devices.")
    platform: Literal[PLATFORMS] | None = Field(None, description="The kind of program that the phone shows beside it.")  # type: ignore[valid-type]  # a tuple of texts
    full_history: bool | None = Field(None, description="Ask the phone for as much history as it has.")
    timeout: float | None = Field(
        None, ge=TIMEOUTS[0], le=TIMEOUTS[1], description="Seconds after which the pairing ends."
    )


class PairingOptions(Answer):
    """How the bot presents itself when it is paired; null: as the settings say."""

    device_name: str | None
    platform: str | None
    full_history: bool | None
    timeout: float | None


class CreateBot(Body):
    """A new bot."""

    id: NewId | None = Field(None, description="Slug `[a-z0-9][a-z0-9-]{0,62}`; made when absent.")
    name: Name | None = Field(None, description="For people; the id when absent.")
    transport: TransportKind = Field(
        TransportKind.WHATSAPP_WEB,
        strict=False,
        description="What it is connected to: `whatsapp_web`, as a linked device of an account. It cannot be changed.",
    )
    autostart: bool = Field(True, description="Connect now and after every start of the daemon.")  # noqa: FBT003
    proxy: ProxyUrl | None = Field(
        None, description="`http://` or `socks5://user:password@host:port` that it connects through; null: none."
    )
    proxy_check: bool = Field(True, description="Refuse a proxy that does not lead to WhatsApp now.")  # noqa: FBT003
    default_country: Country | None = Field(
        None, description="In which numbers without a country code are dialled, like `BR`; null: that of the daemon."
    )
    pairing_options: PairingOptionsBody | None = Field(None, description="How it presents itself when it is paired.")
    ignore: Ignore | None = Field(
        None,
        description="Messages that are dropped before they are stored: `groups`, `status`, `channels`, `broadcast`, "
        "`from_me`, and JIDs of chats or senders with `*` for any characters; null: as the settings say.",
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
    pairing_options: PairingOptionsBody | None = Field(
        None, description="How it presents itself at its next pairing, as a whole; `{}` takes back what was set."
    )
    ignore: Ignore | None = Field(
        None, description="Which messages are dropped, as a whole list; null: as the settings say."
    )


class Health(Answer):
    """Does WhatsApp answer on the bot's connection."""

    healthy: bool = Field(description="Connected, and something came in or was answered lately.")
    last_seen_at: Timestamp | None = Field(description="When something last came in, or a probe was answered.")
    probe_failures: int = Field(description="Probes in a row that were not answered.")
    last_answer_at: Timestamp | None = Field(description="When the last probe was answered.")
    round_trip: float | None = Field(description="Seconds that this answer took.")


class Restriction(Answer):
    """A limit that WhatsApp put on the account."""

    kind: str = Field(description="`first-messages`, `rate`, or the `code` of a blocked bot; docs/api.md lists them.")
    reason: str
    since: Timestamp
    until: Timestamp | None = Field(description="When it is retried by itself; null: not by itself.")
    retry_after: int | None = Field(description="Seconds until then.")
    error: int | None = Field(description="WhatsApp's error number, if it gave one.")


class PairingStage(Answer):
    """How far a pairing is."""

    step: PairingStep = Field(
        description="What it waits for: `scan` (a phone takes the code), `passkey` (a browser answers WhatsApp's "
        "question), `phone` (the phone goes on), `compare` (a person confirms the code)."
    )
    expires_at: Timestamp = Field(description="When the code or the question of this step expires.")


class HistoryEntry(Answer):
    """A state that a bot was in, from `since` until the next entry's."""

    id: int = Field(description="Grows with time; for `before`.")
    state: BotState
    code: str | None
    reason: str | None
    action: str | None
    since: Timestamp
    repeated: int = Field(description="How often it was the same again: attempts that failed alike.")
    last_at: Timestamp = Field(description="When it was last reported.")


class History(Answer):
    """A page of a bot's history, newest first."""

    history: list[HistoryEntry]
    next_before: int | None = Field(description="`before` for the next page; null at the end.")


class Bot(Answer):
    """A bot and what it is doing."""

    id: str
    name: str
    transport: TransportKind = Field(description="What it is connected to.")
    autostart: bool
    state: BotState = Field(description="What the bot is doing; docs/api.md explains each state.")
    code: str | None = Field(description="What is the matter, for programs; docs/api.md lists the codes.")
    reason: str | None = Field(description="Why it is in this state, in words.")
    state_since: Timestamp = Field(description="Since when it has been in this state, RFC 3339 in UTC.")
    action: str | None = Field(description="What a person should do next, in plain words; null when nothing.")
    next_attempt_at: Timestamp | None = Field(description="When it retries by itself.")
    phone: str | None = Field(description="E.164 number of the linked account.")
    lid: str | None = Field(description="Hidden identity of the linked account, `<digits>@lid`.")
    push_name: str | None
    created_at: Timestamp | None
    proxy: str | None = Field(description="The proxy that it connects through, without the password.")
    default_country: str | None = Field(
        description="In which numbers without a country code are dialled; null: that of the daemon, if it has one."
    )
    pairing_options: PairingOptions
    ignore: list[str] | None = Field(description="Which messages are dropped; null: as the settings say.")
    health: Health | None = Field(description="Null while nobody wants it connected.")
    restriction: Restriction | None
    actions: list[str] = Field(description="The calls that make sense now; docs/api.md lists them.")
    pairing: PairingStage | None = Field(description="Null while no pairing is under way.")


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
