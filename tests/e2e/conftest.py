"""The real daemon against the real sandbox, each in its own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox


@pytest_asyncio.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    folder = tmp_path / "sandbox"
    folder.mkdir()
    async with Sandbox(folder) as running:
        yield running


@pytest_asyncio.fixture
async def daemon(tmp_path: Path, sandbox: Sandbox) -> AsyncIterator[Daemon]:
    folder = tmp_path / "daemon"
    folder.mkdir()
    async with Daemon(folder, sandbox.descriptor_file) as running:
        yield running


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver() as running:
        yield running


@pytest.fixture(autouse=True)
def show_logs_on_failure(tmp_path: Path) -> Iterator[None]:
    """Print the programs' logs, which pytest shows for failed tests only."""
    yield
    for log in sorted(tmp_path.glob("*/*.log")):
        print(f"--- {log}\n{log.read_text(errors='replace')[-6000:]}")
