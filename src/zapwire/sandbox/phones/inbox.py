"""What happened on a virtual phone, in order, for whoever asks: received and sent messages, receipts, typing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from zapwire.runtime.json_encoder import valid

CAPACITY: Final = 5_000
"""Entries kept; the oldest go first."""


@dataclass(frozen=True, slots=True)
class InboxEntry:
    """One thing that happened. *kind* is `message` (received), `sent`, `receipt`, `typing`, `presence` or `group`."""

    seq: int
    kind: str
    data: dict[str, Any]
    raw: bytes = b""
    """The message as protobuf, when there is one."""

    def to_json(self) -> dict[str, Any]:
        """The entry for the admin API."""
        return {"seq": self.seq, "kind": self.kind, **self.data}


@dataclass(slots=True)
class Inbox:
    """Entries with rising numbers; readers may wait for the next one."""

    entries: deque[InboxEntry] = field(default_factory=lambda: deque(maxlen=CAPACITY))
    last: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, kind: str, data: dict[str, Any], raw: bytes = b"") -> InboxEntry:
        """Append an entry and wake the readers. What others wrote into *data* may be no text and no number of JSON."""
        self.last += 1
        entry = InboxEntry(self.last, kind, valid(data), raw)
        self.entries.append(entry)
        news, self._news = self._news, asyncio.Event()
        news.set()
        return entry

    def after(self, seq: int, kinds: Collection[str] = ()) -> list[InboxEntry]:
        """The entries after number *seq* of these kinds (all when none is named)."""
        return [entry for entry in self.entries if entry.seq > seq and (not kinds or entry.kind in kinds)]

    def newest(self, count: int) -> list[InboxEntry]:
        """The last entries, oldest first."""
        return list(islice(self.entries, max(0, len(self.entries) - count), None))

    async def wait_after(self, seq: int, seconds: float, kinds: Collection[str] = ()) -> list[InboxEntry]:
        """Like `after`, but waits up to *seconds* until there is one."""
        try:
            async with asyncio.timeout(seconds):
                while not (found := self.after(seq, kinds)):
                    await self._news.wait()
                return found
        except TimeoutError:
            return self.after(seq, kinds)

    def find(self, message_id: str) -> InboxEntry | None:
        """The newest message, received or sent, with this id."""
        wanted = (e for e in reversed(self.entries) if e.kind in {"message", "sent"} and e.data.get("id") == message_id)
        return next(wanted, None)
