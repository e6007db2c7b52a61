"""The catalogue of events as pydantic models: what `data` holds, and the whole event of each type.

They make up the `webhooks` of the OpenAPI document. Tests hold them against events of a real run, and against the
examples in docs/event-examples.md.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from zapwire.api.http.models import Timestamp
from zapwire.api.v1.schemas.bots import Bot
from zapwire.api.v1.schemas.messages import OutgoingMessage, ReceivedMessage, ReceivedVote, UndecryptableMessage
from zapwire.model.events import EventType


class _Data(BaseModel):
    """Exactly these fields."""

    model_config = ConfigDict(extra="forbid")


class QrShown(_Data):
    """A QR code; a secret until it expires."""

    code: str = Field(description="The QR code's text.")
    expires_at: Timestamp
    attempt: int = Field(description="1 for the first code since pairing began.")


class PasskeyStep(_Data):
    """How far a pairing with a passkey is; not the question, and not the code."""

    step: Literal["passkey", "phone", "compare"]
    expires_at: Timestamp


class BotDeleted(_Data):
    """A bot that is gone."""

    id: str
    name: str


class DaemonStarted(_Data):
    """How the run before ended, and when."""

    reason: str = Field(description="`first-start`, `stopped`, `restarted`, `crashed` or `rebooted`.")
    detail: str = Field(description="The same in words.")
    at: Timestamp
    last_started_at: Timestamp | None
    last_alive_at: Timestamp | None


class DaemonAlert(_Data):
    """What is the matter with the daemon itself, or is over."""

    kind: str = Field(description="`loop`, `database`, `engine`, `descriptors`, `memory`, `leak` or `files`.")
    state: Literal["raised", "cleared"]
    detail: str = Field(description="In words.")


class WebhookGap(_Data):
    """What a webhook missed because it became too old."""

    webhook: str
    from_seq: int = Field(description="The first event it missed.")
    to_seq: int = Field(description="The last one.")
    count: int = Field(description="How many of those between were for it.")


class WebhookDisabled(_Data):
    """A webhook that gets nothing any more until somebody enables it."""

    webhook: str
    description: str | None
    reason: str | None = Field(description="In words.")
    failing_since: Timestamp | None
    last_error: str | None


class TestCall(_Data):
    """Whom the test is for."""

    webhook: str


DATA: Final[dict[EventType, type[BaseModel]]] = {
    EventType.BOT_CREATED: Bot,
    EventType.BOT_DELETED: BotDeleted,
    EventType.BOT_STATE: Bot,
    EventType.BOT_UNHEALTHY: Bot,
    EventType.BOT_HEALTHY: Bot,
    EventType.DAEMON_STARTED: DaemonStarted,
    EventType.DAEMON_ALERT: DaemonAlert,
    EventType.BOT_QR: QrShown,
    EventType.BOT_PASSKEY: PasskeyStep,
    EventType.MESSAGE_RECEIVED: ReceivedMessage,
    EventType.MESSAGE_EDITED: ReceivedMessage,
    EventType.MESSAGE_DELETED: ReceivedMessage,
    EventType.MESSAGE_REACTION: ReceivedMessage,
    EventType.POLL_VOTED: ReceivedVote,
    EventType.MESSAGE_UNDECRYPTABLE: UndecryptableMessage,
    EventType.MESSAGE_STATUS: OutgoingMessage,
    EventType.WEBHOOK_GAP: WebhookGap,
    EventType.WEBHOOK_DISABLED: WebhookDisabled,
    EventType.WEBHOOK_TEST: TestCall,
}
"""What `data` of each type holds."""


def _event(kind: EventType) -> type[BaseModel]:
    name = "".join(word.capitalize() for word in kind.value.split(".")) + "Event"
    return create_model(
        name,
        __config__=ConfigDict(extra="forbid"),
        __doc__=f"An event `{kind.value}`.",
        id=(str, Field(description="The same over all repetitions.")),
        seq=(int, Field(description="Position in the journal; each is one more than the one before.")),
        type=(Literal[kind.value], ...),  # type: ignore[arg-type]  # mypy takes it for a type, not for a value
        timestamp=(Timestamp, ...),
        bot=(str | None, Field(description="null when the event is about no bot.")),
        data=(DATA[kind], ...),
    )


EVENTS: Final[dict[EventType, type[BaseModel]]] = {kind: _event(kind) for kind in EventType}
"""The whole event of each type: a line of the journal, a frame of a stream, the body of a webhook."""
