"""Which of one bot's messages goes out next. Pure: no clock, no event loop, no database; times are passed in.

* Messages to one chat go out one at a time, in the order of their numbers, which is the order in which they were
  stored. A message that is being stored keeps later ones from going out directly.
* Chats take turns, at most some at once; a chat that is held (a limit on the account) costs nothing until it is freed.
* A chat has names: the addresses of a person and the person's id. Two names that turn out to be one chat are united,
  and what waits under both is in one order from then on.

Every call costs O(log n) of the chats that wait, `unite` of two that wait O(n) of their messages.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator

from zapwire.core.messages.queued_messages import Chat, Entry, Place, Queued
from zapwire.core.messages.timetable import Timetable

Pace = Callable[[Collection[str], float, float], float]
"""When a message to a chat of these names may go, which waits since then, at the time now."""


class SendQueue:
    """The messages of one bot; *pace* says how close to a message from a chat one to it may go."""

    def __init__(self, at_once: int, pace: Pace) -> None:
        self._at_once = at_once
        self._pace = pace
        self._chats: dict[str, Chat] = {}
        self._engaged: set[Chat] = set()
        """Those with messages on their way or being stored."""
        self._ready = Timetable()
        self._deadlines = Timetable()
        self._held: dict[Chat, None] = {}
        self._freed: dict[Chat, None] = {}
        """Held no longer, and not looked at yet."""
        self.busy = 0
        """Messages on their way."""
        self.entering = 0
        """Messages that are being stored."""
        self.waiting = 0
        """Messages that wait."""

    # -- in ---------------------------------------------------------------------------------------------------------

    def enter(self, name: str, now: float, *, is_open: bool) -> Entry:
        """A message to *name* is about to be stored; directly sent only if the bot's way *is_open*.

        `stored` or `leave` must follow.
        """
        chat = self._chats.get(name)
        direct = is_open and chat is None and self.busy < self._at_once and self._pace((name,), now, now) <= now
        chat = self._chat(name)
        chat.entering += 1
        self.entering += 1
        chat.busy += direct
        self.busy += direct
        self._engaged.add(chat)
        return Entry(name, direct)

    def stored(self, entry: Entry, message: Queued, names: Iterable[str], now: float) -> Place:
        """The message is stored; *names* are those of its chat that are known now."""
        chat = self._know(entry.name, names)
        self._forget(entry, chat)
        if not entry.direct:
            self._put(chat, message, now)
            return Place.QUEUED
        self._settle(chat, now)
        first = chat.busy == 1 and not (chat.messages and chat.messages[0].n < message.n)
        return Place.SEND if first else Place.BACK

    def leave(self, entry: Entry, now: float) -> None:
        """The message was not stored, or is one that was stored before."""
        if entry.over:
            return
        chat = self._chats[entry.name]
        self._forget(entry, chat)
        if entry.direct:
            self._unbusy(chat)
        self._settle(chat, now)

    def put(self, message: Queued, names: Iterable[str], now: float) -> None:
        """A message waits, for the first time or again."""
        self._put(self._know(message.to, names), message, now)

    # -- out --------------------------------------------------------------------------------------------------------

    def is_ready(self, now: float) -> bool:
        """May a message go out now?"""
        return self.busy < self._at_once and self._first_ready(now) is not None

    def next(self, now: float) -> Queued | None:
        """The message that goes out now, if there is one; `release` must follow."""
        if self.busy >= self._at_once or (chat := self._first_ready(now)) is None:
            return None
        return self._take(chat)

    def expired(self, wall: float) -> Queued | None:
        """A message that has waited too long; `release` must follow, as its end has to be stored."""
        while self.busy < self._at_once and (first := self._deadlines.first()) is not None and first[0] <= wall:
            chat = first[1]
            late = next((at for at, one in enumerate(chat.messages) if one.deadline <= wall), None)
            if late is not None:  # mostly the first one, so that nothing is searched
                return self._take(chat, late)
            chat.deadline = min(one.deadline for one in chat.messages)
            self._deadlines.put(chat, chat.deadline)
        return None

    def soonest(self) -> float | None:
        """When to call `next` again if nothing happens before; None: no need to."""
        first = self._ready.first()
        return None if first is None or self.busy >= self._at_once else first[0]

    def next_deadline(self) -> float | None:
        """When to call `expired` again, on the wall clock, if nothing happens before; None: no need to."""
        first = self._deadlines.first()
        return None if first is None or self.busy >= self._at_once else first[0]

    def is_waiting(self, name: str) -> bool:
        """Is anything of that chat waiting or on its way?"""
        return name in self._chats

    def hurry(self, name: str, now: float) -> bool:
        """A chat has written: what waits there by pacing is looked at now. Returns whether anything does."""
        chat = self._chats.get(name)
        if chat is None or not chat.messages or not chat.messages[0].paced:
            return False
        chat.messages[0].paced, chat.messages[0].ready = False, now
        self._ready.drop(chat)
        self._schedule(chat, now)
        return True

    def release(self, message: Queued, now: float) -> None:
        """A message is no longer on its way: it ended, or was `put` again."""
        chat = self._chats[message.to]
        self._unbusy(chat)
        self._settle(chat, now)

    # -- limits -----------------------------------------------------------------------------------------------------

    def hold(self, message: Queued, now: float) -> Collection[Queued]:
        """Hold the chat of *message*, which is on its way and comes back; returns all that waits there."""
        self.put(message, (), now)
        chat = self._chats[message.to]
        if chat.held is not self._held:
            self._unhold(chat)
            chat.held = self._held
            self._held[chat] = None
        self._schedule(chat, now)
        return chat.messages

    def is_held(self, name: str) -> bool:
        """Is the chat held?"""
        chat = self._chats.get(name)
        return chat is not None and chat.held is self._held

    @property
    def holds(self) -> bool:
        """Is any chat held?"""
        return bool(self._held)

    def free(self, name: str, now: float) -> None:
        """Hold a chat no longer."""
        chat = self._chats.get(name)
        if chat is not None and chat.held is not None:
            self._unhold(chat)
            self._schedule(chat, now)

    def free_one(self, now: float) -> None:
        """Hold the chat no longer that is held longest."""
        chat = next(iter(self._held), None)
        if chat is not None:
            self._unhold(chat)
            self._schedule(chat, now)

    def free_all(self) -> None:
        """Hold none any longer. They are looked at one by one, when their turn comes."""
        if not self._freed:
            self._freed, self._held = self._held, self._freed
        else:
            for chat in self._held:
                chat.held = self._freed
            self._freed.update(self._held)
            self._held.clear()

    # -- all --------------------------------------------------------------------------------------------------------

    def names(self, name: str) -> Collection[str]:
        """All names of a chat of which something waits or is on its way."""
        return self._chats[name].names

    def know(self, names: Collection[str], now: float) -> None:
        """These are names of one chat."""
        first = next((name for name in names if name in self._chats), None)
        if first is not None:
            self._settle(self._know(first, names), now)

    def messages(self) -> Iterator[Queued]:
        """All that wait, in no order."""
        for chat in {id(chat): chat for chat in self._chats.values()}.values():
            yield from chat.messages

    def clear(self) -> None:
        """Forget all that wait; what is on its way or being stored stays."""
        self._ready, self._deadlines = Timetable(), Timetable()
        self._held, self._freed = {}, {}
        self.waiting = 0
        for chat in self._engaged:
            chat.messages, chat.held, chat.deadline = deque(), None, math.inf
        self._chats = {name: chat for chat in self._engaged for name in chat.names}

    # ---------------------------------------------------------------------------------------------------------------

    def _chat(self, name: str) -> Chat:
        chat = self._chats.get(name)
        if chat is None:
            chat = self._chats[name] = Chat(name)
        return chat

    def _know(self, name: str, names: Iterable[str]) -> Chat:
        chat = self._chat(name)
        for other in names:
            known = self._chats.get(other)
            if known is None:
                chat.names.add(other)
                self._chats[other] = chat
            elif known is not chat:
                self._unite(chat, known)
        return chat

    def _unite(self, chat: Chat, other: Chat) -> None:
        """Let *chat* be *other*, too."""
        chat.names |= other.names
        for name in other.names:
            self._chats[name] = chat
        if other.messages:
            chat.messages = deque(sorted((*chat.messages, *other.messages), key=_number))
            chat.deadline = min(chat.deadline, other.deadline)
        chat.busy += other.busy
        chat.entering += other.entering
        if chat.held is None or other.held is None:  # of one it is known that nothing holds it, or not known yet
            self._unhold(chat)
        self._unhold(other)
        self._ready.drop(other)
        self._deadlines.drop(other)
        self._ready.drop(chat)
        self._engaged.discard(other)

    def _put(self, chat: Chat, message: Queued, now: float) -> None:
        messages = chat.messages
        if not messages or messages[-1].n < message.n:
            messages.append(message)
        elif message.n < messages[0].n:
            messages.appendleft(message)
        else:
            insort(messages, message, key=_number)
        chat.deadline = min(chat.deadline, message.deadline)
        message.since = now
        self.waiting += 1
        self._settle(chat, now)

    def _take(self, chat: Chat, at: int = 0) -> Queued:
        message = chat.messages[at]
        del chat.messages[at]
        if not chat.messages:
            chat.deadline = math.inf
        self.waiting -= 1
        self.busy += 1
        chat.busy += 1
        self._unhold(chat)
        self._ready.drop(chat)
        self._deadlines.drop(chat)
        self._engaged.add(chat)
        return message

    def _forget(self, entry: Entry, chat: Chat) -> None:
        entry.over = True
        chat.entering -= 1
        self.entering -= 1

    def _unbusy(self, chat: Chat) -> None:
        chat.busy -= 1
        self.busy -= 1

    def _settle(self, chat: Chat, now: float) -> None:
        """After a change: forget an idle chat, or give it its place in time."""
        if chat.busy or chat.entering:
            self._engaged.add(chat)
        else:
            self._engaged.discard(chat)
        if not chat.idle:
            self._schedule(chat, now)
            return
        for name in chat.names:
            del self._chats[name]
        self._unhold(chat)
        self._ready.drop(chat)
        self._deadlines.drop(chat)

    def _schedule(self, chat: Chat, now: float) -> None:
        if not chat.messages or chat.busy:
            self._ready.drop(chat)
            self._deadlines.drop(chat)
            return
        self._deadlines.advance(chat, chat.deadline)
        if chat.held is None:
            self._ready.advance(chat, max(chat.messages[0].ready, now))  # behind those that are ready: in turns
        else:
            self._ready.drop(chat)

    def _first_ready(self, now: float) -> Chat | None:
        while True:
            while (first := self._ready.first()) is not None and first[0] <= now:
                chat = first[1]
                head = chat.messages[0]
                ready = max(head.ready, self._pace(chat.names, head.since, now))
                if ready <= now:
                    return chat
                self._ready.put(chat, ready)
            if not self._freed:
                return None
            chat = next(iter(self._freed))
            self._unhold(chat)
            self._schedule(chat, now)

    def _unhold(self, chat: Chat) -> None:
        if chat.held is not None:
            del chat.held[chat]
            chat.held = None


def _number(message: Queued) -> int:
    return message.n
