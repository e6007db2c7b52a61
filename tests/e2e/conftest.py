"""The real daemon against the real sandbox, each in its own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.harness.daemon import Daemon
from tests.harness.fixtures import sandbox, show_logs_on_failure
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Sandbox

__all__ = ["sandbox", "show_logs_on_failure"]


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
