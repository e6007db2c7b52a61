"""What the sandbox has seen: stanzas by kind, and those that nothing here understands."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any, Final

from zapwire.wire.node import Node

MAX_KINDS: Final = 500
"""Kinds are named by clients; beyond this many they are counted together."""
MAX_ANNOUNCED: Final = 200
"""Registrations and logins whose version is kept."""


def kind_of(node: Node) -> str:
    """A short name for a kind of stanza: `iq get usync devices`, `message text`, `receipt read`."""
    first = node.children[0].tag if node.children and node.tag != "message" else ""
    parts = (node.tag, node.text("type"), node.text("xmlns"), node.text("class"), first)
    return " ".join(part for part in parts if part)[:120]


@dataclass(slots=True)
class Statistics:
    """Counters since the start of the sandbox."""

    received: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    unhandled: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refused_hosts: Counter[str] = field(default_factory=Counter)
    """What clients asked the proxy for, other than WhatsApp's own host names."""
    connections: int = 0
    pairings: int = 0
    logins: int = 0
    announced: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=MAX_ANNOUNCED))
    """Which version the clients said they are, the newest last."""

    def announce(self, kind: str, phone: str, version: tuple[int, int, int], build_hash: bytes = b"") -> None:
        """Note the *version* of a client that registers or logs in (*kind*)."""
        text = ".".join(map(str, version))
        self.announced.append({"kind": kind, "phone": phone, "version": text, "build_hash": build_hash.hex()})

    def count(self, counter: Counter[str], kind: str) -> None:
        """Count one, keeping the number of kinds bounded."""
        counter[kind if kind in counter or len(counter) < MAX_KINDS else "other"] += 1

    def to_json(self) -> dict[str, Any]:
        """For the admin API."""
        return {
            "received": dict(self.received.most_common()),
            "sent": dict(self.sent.most_common()),
            "unhandled": dict(self.unhandled.most_common()),
            "refused": dict(self.refused.most_common()),
            "refused_hosts": dict(self.refused_hosts.most_common()),
            "connections": self.connections,
            "pairings": self.pairings,
            "logins": self.logins,
            "announced": list(self.announced),
        }
