"""When each message stanza passed the socket: what latency is measured with."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from zapwire.wire.node import Node

KEPT: Final = 50_000

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Passage:
    """One stanza read from ("in") or written to ("out") a client's socket."""

    at: float
    """Seconds since the epoch."""
    direction: Direction
    tag: str
    id: str
    children: tuple[str, ...]
    """The tags inside it."""


@dataclass(slots=True)
class Trace:
    """The last messages and receipts; older ones are forgotten."""

    passages: deque[Passage] = field(default_factory=lambda: deque(maxlen=KEPT))

    def note(self, direction: Direction, node: Node) -> None:
        """Take in a stanza that passes right now; other kinds than messages and receipts are left out."""
        if node.tag in {"message", "receipt"}:
            children = tuple(child.tag for child in node.children)
            self.passages.append(Passage(time.time(), direction, node.tag, node.text("id"), children))

    def to_json(self, direction: str, tag: str, since: float) -> dict[str, Any]:
        """For the admin API: what passed since then (seconds since the epoch)."""
        wanted = (p for p in self.passages if p.at >= since and p.direction == direction and p.tag == tag)
        return {"stanzas": [{"at": p.at, "id": p.id, "children": p.children} for p in wanted]}
