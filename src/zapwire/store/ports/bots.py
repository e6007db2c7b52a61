"""What is kept of bots, as the core sees it."""

from __future__ import annotations

from typing import Protocol

from zapwire.model.bots import BotId, BotRow, HistoryEntry


class BotRepository(Protocol):
    """Bots as they are kept: name, what is wanted of them, whom they are linked to. What they are doing
    is not stored.
    """

    def insert(self, row: BotRow) -> bool:
        """Store a new bot; False when its id is taken. Raises `Conflict` while a deleted one of that id is purged."""

    def update(self, row: BotRow) -> None:
        """Store all that can change of a bot; of a damaged row only what is wanted of it: the rest may be mended."""

    def all_bots(self) -> list[BotRow]:
        """All bots, oldest first."""

    def take_over(self, bot: BotId) -> int:
        """Become the owner of a bot; returns the owner's epoch, which is higher than all before. 0: no such bot."""

    def epoch(self, bot: BotId) -> int | None:
        """The epoch of the bot's present owner; None when there is no such bot."""

    def delete(self, bot: BotId) -> None:
        """Delete a bot with its messages, its outbox and its events up to now: hidden at once, then
        purged bit by bit.
        """


class BotHistoryRepository(Protocol):
    """What each bot was doing: a row for each state and each reason for it, the newest few hundred per bot."""

    def note(self, bot: BotId, *, state: str, code: str | None, reason: str | None, action: str | None) -> None:
        """Add an entry, or count a repeat of the newest one."""

    def page(self, bot: str, before: int | None, limit: int) -> list[HistoryEntry]:
        """Up to *limit* entries from before the entry *before* (None: the newest), newest first."""
