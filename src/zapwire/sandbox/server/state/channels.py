"""Channels (newsletters): what their owners posted. Posts are not encrypted; each has a number of its server's."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Final

from zapwire.wire.node import WireJid

CHANNEL_SERVER: Final = "newsletter"
_MOST: Final = 1000


@dataclass(slots=True)
class Post:
    """A message in a channel."""

    id: str
    number: int
    protobuf: bytes
    """`waE2E.Message`."""
    edit: str = ""
    """WhatsApp's word for an edit (`3`) or a deletion (`8`) of the post with this id."""


@dataclass(slots=True)
class Channel:
    """A channel, and the LIDs of those who may post."""

    number: str
    name: str
    owners: set[str] = field(default_factory=set)
    posts: list[Post] = field(default_factory=list)

    @property
    def jid(self) -> WireJid:
        """Its address."""
        return WireJid(self.number, CHANNEL_SERVER)

    def post(self, message_id: str, protobuf: bytes, edit: str = "") -> Post:
        """Keep a post; of many only the newest."""
        number = self.posts[-1].number + 1 if self.posts else 100
        made = Post(message_id, number, protobuf, edit)
        self.posts.append(made)
        del self.posts[:-_MOST]
        return made


class Channels:
    """All channels; they live as long as the sandbox runs."""

    def __init__(self) -> None:
        self._channels: dict[str, Channel] = {}

    def create(self, name: str, owner: str) -> Channel:
        """A new channel of the account with that LID."""
        channel = Channel(f"12036340{secrets.randbelow(10**10):010}", name, {owner})
        self._channels[channel.number] = channel
        return channel

    def get(self, jid: WireJid) -> Channel | None:
        """The channel with that address."""
        return self._channels.get(jid.user) if jid.server == CHANNEL_SERVER else None
