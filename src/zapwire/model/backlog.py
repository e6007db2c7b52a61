"""How much waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class WaitingCounts:
    """One bot's messages that are not sent yet."""

    count: int
    oldest: datetime
    """When the one was submitted that waits longest."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """All that waits."""

    outbox: dict[str, WaitingCounts]
    """By bot; those without are missing."""
    queued: int
    """Deliveries that are stored and wait for an attempt, their first or another."""
    dead_letters: int
    """Deliveries that were given up and are kept."""
    webhooks: dict[str, int]
    """By how they do: every one of `WEBHOOKS` is there."""
