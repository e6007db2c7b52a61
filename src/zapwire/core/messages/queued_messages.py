"""What a send queue is made of: messages that wait, places of those that are being stored, and chats."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from zapwire.model.messages import MessageId


@dataclass(slots=True, eq=False)
class Queued:
    """A message that is not sent yet."""

    n: int
    """Its number in the outbox."""
    id: MessageId
    to: str
    """The address it goes to, which is one of its chat's names."""
    deadline: float
    """When it is too late, on the wall clock."""
    ready: float = 0.0
    """When it may go, on the event loop's clock, as all other times here."""
    since: float = 0.0
    """When it came into the queue."""
    attempts: int = 0
    account: int = 0
    """Which of the accounts that its bot had in turn it was meant for."""
    has_file: bool = False
    """It carries a file, which is uploaded before it is sent."""
    known: bool = True
    """Has the chat ever written to the bot? Only looked up where it matters."""
    told: bool = False
    """It was told that it is held."""
    paced: bool = False
    """It waits by pacing: a message from its chat lets it go."""
    has_place: bool = False
    """It waits for its place in the rate of its bot's messages, and has one."""


@dataclass(slots=True, eq=False)
class Entry:
    """The place of a message that is being stored."""

    name: str
    direct: bool
    """It has the way to its chat, and goes out as soon as it is stored."""
    over: bool = False


class Place(Enum):
    """Where a message is once it is stored."""

    SEND = auto()
    """It goes out now; `release` must follow."""
    QUEUED = auto()
    """It waits."""
    BACK = auto()
    """It was to go out at once, but its chat turned out to be one in which others are before it: it has to be stored as
    queued and `put`, then `release` must follow. Until then nothing else goes out to the chat."""


class Chat:
    """What waits for one chat."""

    __slots__ = ("busy", "deadline", "entering", "held", "messages", "names")

    def __init__(self, name: str) -> None:
        self.names = {name}
        self.messages: deque[Queued] = deque()
        self.deadline = math.inf
        """No message that waits has an earlier one."""
        self.busy = 0
        """Messages on their way. More than one only if they began before the chat's names were united."""
        self.entering = 0
        """Messages that are being stored."""
        self.held: dict[Chat, None] | None = None
        """The set it is held in."""

    @property
    def idle(self) -> bool:
        """Is there nothing to know about it?"""
        return not (self.messages or self.busy or self.entering)
