"""What a renderer makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from zapwire.model.events import Event


@dataclass(frozen=True, slots=True)
class Rendered:
    """A request without what is the delivery's own (identification, time, signatures)."""

    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further ones of the format; they win over the endpoint's own."""


Renderer = Callable[[Event], Rendered]
"""Never raises for an event of a known type; the same event gives the same request each time."""
