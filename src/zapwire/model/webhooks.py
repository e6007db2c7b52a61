"""Webhook endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from zapwire.model.events import SECRET


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events are sent to."""

    id: str
    url: str = field(repr=False)
    events: tuple[str, ...]
    """Types, `*`, or a family like `message.*`; secret ones only by their type."""
    bots: tuple[str, ...] | None
    """None: all. What is of no bot is for everybody."""
    enabled: bool
    """Else it is disabled: by a person or by us, as *disabled_reason* says."""
    created_at: datetime
    cursor: int = 0
    """Every event up to here is delivered, waits as a delivery, was given up or is none of this endpoint's."""
    failing_since: datetime | None = None
    last_error: str | None = None
    description: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Its own request headers; secrets."""
    concurrency: int = 16
    """Deliveries at the same time, each of another chat."""
    public_key: str | None = None
    """`whpk_...`, when deliveries are signed with ed25519 too."""
    reply: bool = False
    """May an answer carry a message to send?"""
    paused: bool = False
    """Nothing is delivered, and that does not count as failing."""
    disabled_reason: str | None = None
    resumed_at: datetime | None = None
    """When it was last enabled or resumed: waiting before that does not count against an event."""
    damaged: tuple[str, ...] = ()
    """Columns of its row that do not open; they are empty here, and stay as they are until they get a new value."""
    timeout: float = 15.0
    """Seconds for one delivery."""
    client_error_attempts: int = 3
    """After so many attempts an event that it answers with 4xx, while it takes others, is given up."""
    unreachable_since: datetime | None = None
    """Since then it cannot be reached or does not answer."""
    next_attempt_at: datetime | None = None
    """When it is retried, while it is unreachable."""
    format: str = "v1"
    """The renderer of what it gets (`core/webhooks/renderers`)."""

    def wants(self, kind: str, bot: str) -> bool:
        """Are events of type *kind* about *bot* (empty: about none) for this endpoint?"""
        if self.bots is not None and bot and bot not in self.bots:
            return False
        if kind in self.events:
            return True
        return kind not in SECRET and any(one in {"*", f"{kind.split('.', maxsplit=1)[0]}.*"} for one in self.events)


@dataclass(frozen=True, slots=True)
class EndpointHealth:
    """How an endpoint does whose deliveries fail."""

    error: str | None
    since: datetime
    """When the first failure after the last success was."""
    unreachable_since: datetime | None = None
    next_attempt_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class RetiredSecret:
    """Keys that were replaced and still sign beside the new ones."""

    secret: str
    private: str | None
    until: datetime


@dataclass(frozen=True, slots=True)
class EndpointKeys:
    """What one endpoint's deliveries are signed with."""

    secret: str
    """`whsec_...`."""
    private: str | None = None
    """`whsk_...`."""
    public: str | None = None
    """`whpk_...`."""
    retired: tuple[RetiredSecret, ...] = ()
    damaged: tuple[str, ...] = ()
    """Columns that do not open, and are empty here."""
