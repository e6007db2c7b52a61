"""A running server with one account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.sandbox.served import PHONE
from zapwire.sandbox.server.network import client_socket
from zapwire.sandbox.server.network.sandbox_server import SandboxServer
from zapwire.sandbox.server.world import World


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that are for real clients only."""
    monkeypatch.setattr(client_socket, "GOODBYE_SECONDS", 0.01)
    monkeypatch.setattr(client_socket, "SETTLE_SECONDS", 0)


@pytest_asyncio.fixture
async def server(short_waits: None) -> AsyncIterator[SandboxServer]:
    async with SandboxServer(World()) as server:
        server.world.create_account(PHONE, "Alice")
        yield server
