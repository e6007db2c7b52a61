"""Chats by when to look at them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from zapwire.core.messages.queued_messages import Chat


@dataclass(slots=True)
class Timetable:
    """Chats by when to look at them; each once at most."""

    _heap: list[tuple[float, int, Chat]] = field(default_factory=list)
    _valid: dict[Chat, tuple[float, int]] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=count)

    def put(self, chat: Chat, when: float) -> None:
        """Look at *chat* at that time, and no more at the one it had."""
        entry = next(self._count)
        self._valid[chat] = (when, entry)
        heapq.heappush(self._heap, (when, entry, chat))
        if len(self._heap) > 2 * len(self._valid) + 64:  # mostly entries that were replaced
            self._heap = [one for one in self._heap if self._valid.get(one[2]) == one[:2]]
            heapq.heapify(self._heap)

    def advance(self, chat: Chat, when: float) -> None:
        """Look at *chat* at that time or before; one that has a place already does not lose it."""
        known = self._valid.get(chat)
        if known is None or when < known[0]:
            self.put(chat, when)

    def drop(self, chat: Chat) -> None:
        """Do not look at *chat*."""
        self._valid.pop(chat, None)

    def first(self) -> tuple[float, Chat] | None:
        """The chat to look at first, and when."""
        while self._heap:
            when, entry, chat = self._heap[0]
            if self._valid.get(chat) == (when, entry):
                return when, chat
            heapq.heappop(self._heap)
        return None
