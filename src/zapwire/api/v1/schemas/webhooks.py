"""The JSON of webhooks and their deliveries, as `schemas` for the rest."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from zapwire.api.http.models import Answer, Body, Timestamp
from zapwire.api.http.string_formats import (
    BotIds,
    ClientErrorAttempts,
    Concurrency,
    Description,
    EventPatterns,
    Headers,
    Position,
    Recipient,
    Secret,
    Timeout,
    WebhookFormat,
    WebhookUrl,
)
from zapwire.api.v1.schemas.journal import Event
from zapwire.core.webhooks.endpoints import GRACE_MOST
from zapwire.core.webhooks.renderers import DEFAULT
from zapwire.model.deliveries import DeliveryState


class CreateWebhook(Body):
    """An endpoint that shall get events."""

    url: WebhookUrl = Field(description="http or https address that takes POST requests.")
    description: Description = Field("", description="For people; at most 500 characters.")
    events: EventPatterns = Field(
        ["*"],
        description="Event types, families like `message.*`; `*` stands for all but secrets: `bot.qr` comes only "
        "where it is named.",
    )
    bots: BotIds | None = Field(None, description="Only events of these bots; all when absent.")
    headers: Headers = Field({}, description="Request headers of its own, for example Authorization.")
    concurrency: Concurrency = Field(16, description="Deliveries at the same time, each of another chat; 1 to 64.")
    ed25519: bool = Field(False, description="Sign with ed25519 (`v1a`) besides HMAC-SHA256 (`v1`).")  # noqa: FBT003
    reply: bool = Field(False, description="An answer to `message.received` may carry a message to send.")  # noqa: FBT003
    timeout: Timeout = Field(15, description="Seconds in which a delivery has to be answered; 1 to 60.")
    client_error_attempts: ClientErrorAttempts = Field(
        3, description="Attempts at an event that it answers with 4xx while it takes others; 2 to 10."
    )
    enabled: bool = Field(True, description="false: nothing is delivered until it is enabled.")  # noqa: FBT003
    format: WebhookFormat = Field(DEFAULT, description="In what form events come; `v1` as in `GET /v1/events`.")
    secret: Secret | None = Field(None, description="`whsec_` and 24 to 64 bytes in base64; made when absent.")


class UpdateWebhook(Body):
    """What to change of an endpoint; absent fields stay."""

    url: WebhookUrl | None = None
    description: Description | None = None
    events: EventPatterns | None = None
    bots: BotIds | None = Field(None, description="null stands for all bots.")
    headers: Headers | None = Field(None, description="All of them: those that are not named go.")
    concurrency: Concurrency | None = None
    ed25519: bool | None = Field(None, description="true makes a key; false drops it.")
    reply: bool | None = None
    timeout: Timeout | None = None
    client_error_attempts: ClientErrorAttempts | None = None
    enabled: bool | None = Field(None, description="true also forgets since when it fails.")
    format: WebhookFormat | None = None


class Webhook(Answer):
    """An endpoint and how its deliveries do."""

    id: str
    url: str
    description: str
    events: list[str]
    bots: list[str] | None
    header_names: list[str] = Field(description="Of its own headers; the values are not shown.")
    format: str = Field(description="In what form events come.")
    concurrency: int
    public_key: str | None = Field(description="`whpk_...`: verifies `v1a` signatures; null when there are none.")
    reply: bool
    enabled: bool
    disabled_reason: str | None = Field(description="Why it is not enabled.")
    paused: bool = Field(description="Deliveries are held back.")
    timeout: float = Field(description="Seconds in which a delivery has to be answered.")
    client_error_attempts: int = Field(description="Attempts at an event that it answers with 4xx.")
    failing_since: Timestamp | None = Field(description="The first failure since it took something last.")
    unreachable_since: Timestamp | None = Field(
        description="Since then it does not answer: one event at a time is tried, and none is given up for that."
    )
    next_attempt_at: Timestamp | None = Field(description="The next attempt while it is unreachable.")
    last_error: str | None
    created_at: Timestamp


class CreatedWebhook(Webhook):
    """An endpoint with its new secret, which is not shown again."""

    secret: str = Field(description="`whsec_...`: verifies the `webhook-signature` header (Standard Webhooks).")


class WebhookList(Answer):
    """All endpoints."""

    webhooks: list[Webhook]


class RotateSecret(Body):
    """How to replace the secret."""

    grace: float = Field(
        86_400, ge=0, le=GRACE_MOST, description="Seconds in which the old secret signs too; at most 604800 (7 days)."
    )
    secret: Secret | None = Field(None, description="`whsec_` and 24 to 64 bytes in base64; made when absent.")


class WebhookTest(Answer):
    """What came of a `webhook.test` event."""

    event: str
    delivered: bool
    status: int | None = Field(description="null when there was no answer.")
    duration_ms: int
    error: str | None
    response: str | None = Field(description="The first 4096 bytes of it.")


class DeliveryAttempt(Answer):
    """One request."""

    at: Timestamp
    status: int | None = Field(description="null when there was no answer.")
    duration_ms: int
    error: str | None


class DeliveryReply(Answer):
    """What came of a message that the receiver answered with."""

    message: str | None = None
    error: str | None = None


class Delivery(Answer):
    """One event's way to one webhook."""

    event: str
    seq: int
    type: str
    bot: str | None
    chat: str | None = Field(description="Phone number or JID; deliveries of one chat are in order.")
    timestamp: Timestamp = Field(description="Of the event.")
    state: DeliveryState
    next_attempt_at: Timestamp | None
    attempts: list[DeliveryAttempt] = Field(description="Oldest first; the newest 32.")
    response: str | None = Field(description="The first 4096 bytes of the last one.")
    reply: DeliveryReply | None


class DeliveryPage(Answer):
    """Some deliveries, the newest events first."""

    deliveries: list[Delivery]
    next_after: int | None = Field(description="Pass this as `after` to go on; null at the end.")


class DeliveryWithEvent(Delivery):
    """A delivery and the event itself."""

    body: Event | dict[str, Any] | None = Field(description="The event; null when it is no longer kept.")


class Replay(Body):
    """What to deliver again: one event, or all that fits the other fields together."""

    event: str | None = Field(None, description="The id of one event; alone.")
    from_: AwareDatetime | None = Field(None, alias="from", description="Events from then on, ISO 8601 with zone.")
    to: AwareDatetime | None = Field(None, description="Events before then.")
    chat: Recipient | None = Field(None, description="Events of this chat: a phone number or a JID.")
    dead: Literal[True] | None = Field(None, description="Only what was given up.")
    after: Position | None = Field(None, description="`next_after` of the answer before.")


class Replayed(Answer):
    """What was queued."""

    queued: int
    next_after: int | None = Field(description="There may be more: repeat the call with this as `after`.")
