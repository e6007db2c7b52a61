"""What is kept of files, as the core sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from zapwire.model.bots import BotId
from zapwire.model.media import MediaFile, MediaId, MediaState, RemoteFile


class MediaRepository(Protocol):
    """Files that messages carry: who has which, and its keys. The files themselves are elsewhere."""

    def insert(self, file: MediaFile) -> None:
        """Note a new file."""

    def describe(self, file: MediaFile) -> None:
        """More is known of it now."""

    def get(self, media: str) -> MediaFile | None:
        """A file; None also when what is kept of it is damaged."""

    def of_bot(self, bot: BotId, media: str) -> MediaFile | None:
        """As `get`, if it is this bot's."""

    def move(self, media: MediaId, state: MediaState) -> None:
        """It is there now, or no longer."""

    def uploaded(self, media: MediaId, sent: RemoteFile, moment: datetime) -> None:
        """WhatsApp has it; messages name it as *sent*."""

    def used(self, media: MediaId, moment: datetime) -> None:
        """Somebody wanted it, or wants it until then: it is kept longer than others, and not deleted before."""

    def stored(self) -> tuple[int, int]:
        """How many files are here, and their bytes."""

    def oldest(self, limit: int, before: datetime | None = None) -> list[tuple[MediaId, int]]:
        """Up to *limit* files that are here and were not wanted for the longest time, with their bytes; with *before*
        only those that nobody has wanted since.
        """

    def prune(self, limit: int, before: datetime) -> int:
        """Forget up to *limit* files that are no longer here and were new before that; returns how many."""
