"""Drives `bench.bare` in its own process."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from tests.harness.engine import EngineProcess


class BareEngine(EngineProcess):
    """Bare neonize with any number of clients."""

    def __init__(self, folder: Path, descriptor: dict[str, str]) -> None:
        super().__init__(folder, descriptor, "bench.bare", folder)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.until(lambda a: "ready" in a)
        return self

    async def tell(self, **job: Any) -> None:
        """Hand over a job."""
        await self.order(**job)

    def forget(self) -> None:
        """Forget the answers so far."""
        self.seen.clear()
