"""Fixtures that several folders' conftest.py take in by name."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.sandbox import Sandbox


@pytest_asyncio.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    async with Sandbox(folder) as running:
        yield running


@pytest.fixture(autouse=True)
def show_logs_on_failure(tmp_path: Path) -> Iterator[None]:
    """Print the programs' logs, which pytest shows for failed tests only."""
    yield
    for log in sorted(tmp_path.rglob("*.log")):
        print(f"--- {log}\n{log.read_text(errors='replace')[-6000:]}")
