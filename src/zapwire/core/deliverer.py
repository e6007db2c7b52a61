"""Webhooks out (being written)."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from zapwire.core.limits import Limits
from zapwire.store.db import Database


class Deliverer:
    """Sends events to endpoints."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def changed(self, endpoint: str) -> None:
        """Look at an endpoint again."""
