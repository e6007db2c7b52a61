"""The format of our own: the event as `GET /v1/events` shows it."""

from __future__ import annotations

from zapwire.core.events.serializers import event_bytes
from zapwire.core.webhooks.renderers.rendered import Rendered
from zapwire.model.events import Event


def render(event: Event) -> Rendered:
    """One JSON object."""
    return Rendered(event_bytes(event))
