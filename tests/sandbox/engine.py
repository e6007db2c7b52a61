"""The real engine, bare neonize with none of ours round it, with one client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness.engine import EngineProcess


class Engine(EngineProcess):
    """Bare neonize with one client, against the sandbox of this descriptor."""

    def __init__(self, folder: Path, descriptor: dict[str, str]) -> None:
        super().__init__(folder, descriptor, "tests.sandbox.engine_program", folder / "client.db")

    async def tell(self, do: str, **job: Any) -> Any:
        """Have something done and return its result."""
        number = sum("job" in answer for answer in self.seen)
        await self.order(do=do, job=number, **job)
        answer = await self.until(lambda a: a.get("job") == number)
        assert "error" not in answer, answer
        return answer["result"]

    async def qr(self) -> str:
        return str((await self.until(lambda a: "qr" in a))["qr"])

    async def text(self, text: str) -> dict[str, Any]:
        """The message with this text."""
        return await self.until(lambda a: a.get("message") == text)
