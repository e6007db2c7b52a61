"""The health of the daemon as JSON.

Answers are made by `zapwire.core.events.serializers`, so that they agree with events; a test holds these models against
it.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from zapwire.api.http.models import Answer, Timestamp
from zapwire.api.v1.schemas.stats import VersionStats


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
    whatsapp_version: VersionStats
    alerts: list[str] = Field(description="Kinds of the `daemon.alert` events that are not over.")
