"""What is on its way to one device, kept until the device acknowledges it.

A receipt has the id of its message, so messages are told apart by tag and id, everything else by the sender too.
whatsmeow acknowledges a message by its `<receipt>` alone and everything else by `<ack class=..>`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from zapwire.wire.node import Node

CAPACITY: Final = 20_000
"""Stanzas that may wait for one device; beyond it the oldest is dropped, and counted."""

Key: TypeAlias = tuple[str, ...]


def key_of(node: Node) -> Key:
    """Under which key a stanza to a device waits for its acknowledgement."""
    if node.tag == "message":
        return node.tag, node.text("id")
    return (node.tag, *(node.text(name) for name in ("id", "from", "participant", "type")))


def acknowledged_key(ack: Node) -> Key:
    """The key of the stanza that an `<ack>` from a device, or its `<receipt>` for a message, acknowledges."""
    tag = ack.text("class") if ack.tag == "ack" else "message"
    if tag == "message":
        return tag, ack.text("id")
    return (tag, *(ack.text(name) for name in ("id", "to", "participant", "type")))


@dataclass(slots=True)
class Mailbox:
    """Stanzas in order, and which of them have not been sent in this connection."""

    waiting: dict[Key, Node] = field(default_factory=dict)
    unsent: deque[Key] = field(default_factory=deque)
    open: bool = False
    """Has the device said that it wants its stanzas?"""
    pumping: object | None = None
    """The endpoint that is being sent to at this moment."""
    dropped: int = 0

    def put(self, node: Node) -> None:
        """Append a stanza; the same key again takes the later place."""
        key = key_of(node)
        if self.waiting.pop(key, None) is not None and key in self.unsent:
            self.unsent.remove(key)
        self.waiting[key] = node
        self.unsent.append(key)
        while len(self.waiting) > CAPACITY:
            oldest = next(iter(self.waiting))
            del self.waiting[oldest]
            if self.unsent and self.unsent[0] == oldest:
                self.unsent.popleft()
            self.dropped += 1

    def acknowledge(self, key: Key) -> bool:
        """Forget a stanza; was there one?"""
        return self.waiting.pop(key, None) is not None

    def restart(self) -> None:
        """A new connection: everything that was not acknowledged has to be sent again."""
        self.unsent = deque(self.waiting)
        self.open = False

    def take(self) -> Node | None:
        """The next stanza to send, or None."""
        while self.unsent:
            node = self.waiting.get(self.unsent.popleft())
            if node is not None:
                return node
        return None
