"""Which call begins next: each owner's calls in their order, owners in turns, and never many of one owner at once.

An owner whose oldest running call has taken longer than *patience* gets no further one begun: a client whose server is
frozen holds up its own sends anyway (whatsmeow sends one message after the other), and a call that has not begun is
certain not to have been sent. Not for more than one thread at a time: `threads.CallThreads` has the lock.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Waiting items by owner, and since when which owners have something running. Times are the caller's, in seconds.

    All operations but `withdraw` take constant time on average.
    """

    def __init__(self, per_owner: int, patience: float) -> None:
        """At most *per_owner* of one owner run at once."""
        self._per_owner = per_owner
        self._patience = patience
        self._waiting: dict[str, deque[T]] = {}
        self._running: dict[str, list[float]] = {}
        """When those that run began, the oldest first."""
        self._ready: dict[str, None] = {}
        """Owners to be looked at, in their turn. One that may not begin leaves, and comes back with `done`."""

    def waiting(self, owner: str) -> int:
        """How many items of *owner* wait."""
        return len(self._waiting.get(owner, ()))

    @property
    def may_have_next(self) -> bool:
        """False: `take` would give nothing. True: it may give something."""
        return bool(self._ready)

    def put(self, owner: str, item: T) -> None:
        """Add an item behind the others of *owner*."""
        self._waiting.setdefault(owner, deque()).append(item)
        self._ready[owner] = None

    def take(self, now: float) -> tuple[str, T] | None:
        """The next item that may run, which counts as running from now on; None when there is none."""
        while self._ready:
            owner = next(iter(self._ready))
            del self._ready[owner]
            items = self._waiting.get(owner)
            if not items or not self._may_begin(owner, now):
                continue
            item = items.popleft()
            if items:
                self._ready[owner] = None
            else:
                del self._waiting[owner]
            self._running.setdefault(owner, []).append(now)
            return owner, item
        return None

    def done(self, owner: str, began: float) -> None:
        """What *owner* began at that time has ended."""
        running = self._running[owner]
        running.remove(began)
        if not running:
            del self._running[owner]
        if owner in self._waiting:
            self._ready[owner] = None

    def withdraw(self, owner: str, item: T) -> bool:
        """Take back an item that waits; False when it does not wait any more."""
        items = self._waiting.get(owner)
        if items is None or item not in items:
            return False
        items.remove(item)
        if not items:
            del self._waiting[owner]
        return True

    def oldest(self, owner: str) -> float | None:
        """When the oldest running item of *owner* began; None when none runs."""
        running = self._running.get(owner)
        return running[0] if running else None

    def _may_begin(self, owner: str, now: float) -> bool:
        running = self._running.get(owner)
        return running is None or (len(running) < self._per_owner and now - running[0] < self._patience)
