"""Stanzas as values: the XMPP-like tree that WhatsApp's binary XML carries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

MAX_DEVICE: Final = 255
_DIGITS: Final = 3


class BadStanza(ValueError):
    """An attribute of a stanza is not what it has to be."""


@dataclass(frozen=True, slots=True, order=True)
class WireJid:
    """An address, `user[:device]@server`.

    A type of its own because whatsmeow compares attributes as JID values: they must be written with the JID tokens (250
    and 247), never as strings (the trap is described in docs/sandbox.md).
    """

    user: str
    server: str = "s.whatsapp.net"
    device: int = 0

    @classmethod
    def parse(cls, text: str) -> WireJid:
        """Read `user[.agent][:device]@server` or a bare server; raises BadStanza (a ValueError) on anything else."""
        user, at, server = text.rpartition("@")
        if not server:
            raise BadStanza("a JID needs a server")
        if not at:
            return cls("", server)
        user, _, device = user.partition(":")
        if device and not (device.isdecimal() and len(device) <= _DIGITS and int(device) <= MAX_DEVICE):
            raise BadStanza("a JID's device is a number up to 255")
        return cls(user.partition(".")[0] if device else user, server, int(device) if device else 0)

    @property
    def bare(self) -> WireJid:
        """The account, without the device."""
        return WireJid(self.user, self.server)

    def with_device(self, device: int) -> WireJid:
        """The same account's device number *device*; 0 is the phone."""
        return WireJid(self.user, self.server, device)

    def __str__(self) -> str:
        device = f":{self.device}" if self.device else ""
        return f"{self.user}{device}@{self.server}" if self.user else self.server


Attr: TypeAlias = str | WireJid


@dataclass(slots=True)
class Node:
    """One stanza or a part of one. Content is children, bytes, text or nothing.

    Text is for writing only, where the engine writes a token instead of bytes; what was read holds bytes.
    """

    tag: str
    attrs: dict[str, Attr] = field(default_factory=dict)
    content: list[Node] | bytes | str | None = None

    @property
    def children(self) -> list[Node]:
        """The child nodes; empty when the content is bytes or nothing."""
        return self.content if isinstance(self.content, list) else []

    @property
    def data(self) -> bytes:
        """The content as bytes; empty when there is none."""
        if isinstance(self.content, str):
            return self.content.encode()
        return self.content if isinstance(self.content, bytes) else b""

    def child(self, *path: str) -> Node | None:
        """The first node found by following tags downwards."""
        node: Node | None = self
        for tag in path:
            node = next((c for c in node.children if c.tag == tag), None) if node else None
        return node

    def all(self, tag: str) -> Iterator[Node]:
        """All direct children with this tag."""
        return (c for c in self.children if c.tag == tag)

    def text(self, name: str, default: str = "") -> str:
        """An attribute as text."""
        value = self.attrs.get(name)
        return default if value is None else str(value)

    def jid(self, name: str) -> WireJid | None:
        """An attribute as a JID, or None when it is absent or empty."""
        value = self.attrs.get(name)
        if value is None or value == "":
            return None
        return value if isinstance(value, WireJid) else WireJid.parse(value)
