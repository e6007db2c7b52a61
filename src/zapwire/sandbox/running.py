"""The sandbox put together: world, virtual phones, server, admin API and page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from zapwire.sandbox.admin.channels import ChannelApi
from zapwire.sandbox.admin.faults import ServerApi
from zapwire.sandbox.admin.groups import GroupApi
from zapwire.sandbox.admin.page import routes as page_routes
from zapwire.sandbox.admin.passkeys import PasskeyApi
from zapwire.sandbox.admin.phones import AdminApi
from zapwire.sandbox.phones.phone_registry import Phones
from zapwire.sandbox.server.network.sandbox_server import REGISTRATION_SECONDS, SandboxServer
from zapwire.sandbox.server.state_file import StateError
from zapwire.sandbox.server.world import World


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A sandbox that clients can connect to."""

    world: World
    phones: Phones
    server: SandboxServer

    @property
    def descriptor(self) -> dict[str, Any]:
        """All that a client needs: socket_url, noise_root, proxy, ca, admin."""
        return self.server.descriptor


@asynccontextmanager
async def running_sandbox(
    host: str = "127.0.0.1",
    port: int = 0,
    state: Path | None = None,
    registration_seconds: float = REGISTRATION_SECONDS,
) -> AsyncIterator[RunningSandbox]:
    """Serve while entered. Raises StateError for a file that is not a state, OSError when the port is taken."""
    world = World()
    phones = Phones(world)
    server = SandboxServer(world, host, port, state, registration_seconds=registration_seconds)
    for routes in (
        AdminApi(phones).routes(),
        PasskeyApi(phones).routes(),
        GroupApi(phones).routes(),
        ChannelApi(phones, world).routes(),
        ServerApi(world).routes(),
        page_routes(),
    ):
        server.add_routes(routes)
    saved: list[dict[str, Any]] = []
    server.state.add_section("phones", phones.to_json, saved.extend)
    # Phones first: a client that comes back at once finds everybody it knows.
    try:
        await phones.restore(saved)
    except ValidationError as error:
        raise StateError(f"{state} holds phones that this version of the sandbox cannot read") from error
    try:
        async with server:
            yield RunningSandbox(world, phones, server)
            # The last state is written when the server is left; until then the phones read what has reached them.
            await phones.aclose()
    finally:
        await phones.aclose()
