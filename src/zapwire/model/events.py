"""What is emitted to the outside: one journal entry, one WebSocket frame, one webhook body."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from zapwire.model.bots import BotId


class EventType(StrEnum):
    """The catalogue; each member's docstring says when it is emitted and what `data` holds."""

    BOT_CREATED = "bot.created"
    """Emitted when a bot was created or imported. Data: the bot."""
    BOT_DELETED = "bot.deleted"
    """Emitted when a bot was deleted; its other events are gone then. Data: `id` and `name`."""
    BOT_STATE = "bot.state"
    """Emitted when a bot's state, reason or identity changes. Data: the bot, as `GET /v1/bots/{bot}` shows it."""
    BOT_UNHEALTHY = "bot.unhealthy"
    """Emitted when a connected bot left two probes unanswered. Data: the bot; its `health` says more."""
    BOT_HEALTHY = "bot.healthy"
    """Emitted when an unhealthy bot is answered again, also over a new connection. Data: the bot."""
    DAEMON_STARTED = "daemon.started"
    """Emitted at each start. Data: `reason`, how the run before ended (`first-start`, `stopped`, `restarted`,
    `crashed`, `rebooted`), `detail`, `last_started_at`, `last_alive_at`."""
    DAEMON_ALERT = "daemon.alert"
    """Emitted when something is the matter with the daemon itself, and when it is over. Data: `kind` (`loop`,
    `database`, `engine`, `descriptors`, `memory`, `leak`, `files`, `damaged`, `clock`, `outdated`, `canary`), `state`
    (`raised`, `cleared`), `detail`."""
    BOT_QR = "bot.qr"
    """Emitted when a pairing shows a new QR code. Data: `code`, `expires_at`, `attempt`."""
    BOT_PASSKEY = "bot.passkey"
    """Emitted when a pairing with a passkey comes to another step, or when one and the same begins again. Data: `step`
    (`passkey`, `phone`, `compare`), `expires_at`; never the challenge or the code."""
    MESSAGE_RECEIVED = "message.received"
    """Emitted once for each message that arrives, also those the account's owner sends from the phone. Edits,
    deletions, reactions and votes have events of their own, with the same data."""
    MESSAGE_EDITED = "message.edited"
    """Emitted when somebody gives a message another text. Data: as of `message.received`; `content.message_id` is the
    message, `content.content` what it says now."""
    MESSAGE_DELETED = "message.deleted"
    """Emitted when somebody deletes a message for everybody. Data: as of `message.received`; `content.message_id` is
    the message."""
    MESSAGE_REACTION = "message.reaction"
    """Emitted when somebody reacts to a message, or takes that back. Data: as of `message.received`;
    `content.message_id` is the message, `content.emoji` the reaction, empty when it is taken back."""
    POLL_VOTED = "poll.voted"
    """Emitted when somebody votes in a poll. Data: as of `message.received`, with `poll`: how the poll stands now, null
    where the poll is not known."""
    MESSAGE_UNDECRYPTABLE = "message.undecryptable"
    """Emitted once for each message that arrives and cannot be read: it does not open, there is no copy of it for this
    device, or it is of a kind that nobody here can read. `message.received` with the same id may follow. Data: `id`,
    `chat`, `sender`, `from_me`, `timestamp`, `reason`, `kind`, `hidden`, `push_name`, `origin`."""
    MESSAGE_STATUS = "message.status"
    """Emitted when an outgoing message moves forward, or a limit on the account holds it. Data: the message, as
    `GET .../messages/{id}` shows it."""
    WEBHOOK_GAP = "webhook.gap"
    """Emitted when events were pruned before a webhook took them; goes to that one whatever it subscribed to. Data:
    `webhook`, `from_seq`, `to_seq`, `count`."""
    WEBHOOK_DISABLED = "webhook.disabled"
    """Emitted when a webhook is disabled because it answered 410, or failed for too long. Of no bot, and not told to
    that webhook itself. Data: `webhook`, `description`, `reason`, `failing_since`, `last_error`."""
    WEBHOOK_TEST = "webhook.test"
    """Sent to one webhook by `POST /v1/webhooks/{webhook}/test`; never in the journal. Data: `webhook`."""


SECRET: Final = frozenset({EventType.BOT_QR})
"""Whoever has one can act as the bot: a webhook gets them only where it names them, not under `*` or a family."""


class Payload:
    """What an event holds: JSON that was encoded once, and what it says, parsed only when somebody asks.

    *encoded* is an object in UTF-8; *data* is what it says, where that is known already.
    """

    __slots__ = ("_data", "encoded")

    def __init__(self, encoded: bytes, data: dict[str, Any] | None = None) -> None:
        self.encoded: Final = encoded
        self._data = data

    @property
    def data(self) -> dict[str, Any]:
        """The object; not to be changed."""
        if self._data is None:
            self._data = json.loads(self.encoded)
        return self._data

    def __eq__(self, other: object) -> bool:
        return self.encoded == other.encoded if isinstance(other, Payload) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.encoded)

    def __repr__(self) -> str:
        return f"Payload({len(self.encoded)} bytes)"  # it may be secret


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of the journal."""

    seq: int
    """Position in the journal; each is one more than the one before."""
    id: str
    """`evt_...`, the same over all retries."""
    type: EventType
    timestamp: datetime
    bot: BotId
    """Empty when it is about none."""
    payload: Payload

    @property
    def data(self) -> dict[str, Any]:
        """What it says, as `EventType` describes it; not to be changed."""
        return self.payload.data

    @property
    def size(self) -> int:
        """Bytes of the data as JSON; for who keeps events in memory."""
        return len(self.payload.encoded)


@dataclass(frozen=True, slots=True)
class LostEvent:
    """An event that is in the journal but cannot be read: its row is damaged."""

    seq: int
    id: str
    type: str
    timestamp: datetime
    bot: BotId
