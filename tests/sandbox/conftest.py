"""A running server with one account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.sandbox.served import PHONE
from zapwire.sandbox import connection
from zapwire.sandbox.server import SandboxServer
from zapwire.sandbox.world import World


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are for real clients only."""
    monkeypatch.setattr(connection, "GOODBYE_SECONDS", 0.01)
    monkeypatch.setattr(connection, "SETTLE_SECONDS", 0)


@pytest_asyncio.fixture
async def server(short_waits: None) -> AsyncIterator[SandboxServer]:
    async with SandboxServer(World()) as server:
        server.world.create_account(PHONE, "Alice")
        yield server
