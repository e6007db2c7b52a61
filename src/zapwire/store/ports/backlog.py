"""What is kept of backlog, as the core sees it."""

from __future__ import annotations

from typing import Protocol

from zapwire.model.backlog import Backlog


class BacklogRepository(Protocol):
    """How much waits in the database."""

    def backlog(self) -> Backlog:
        """Count what waits; quick, as only what waits is looked at."""
