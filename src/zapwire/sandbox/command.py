"""`zapwire sandbox`: the whole loopback WhatsApp as one program."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from zapwire.sandbox.admin import AdminApi
from zapwire.sandbox.admin_faults import ServerApi
from zapwire.sandbox.admin_groups import GroupApi
from zapwire.sandbox.page import routes as page_routes
from zapwire.sandbox.phones.registry import Phones
from zapwire.sandbox.server import SandboxServer
from zapwire.sandbox.state import StateError
from zapwire.sandbox.world import World


async def run_sandbox(host: str, port: int, state: Path | None, ready: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGTERM or SIGINT; *ready* gets the descriptor as soon as clients can connect.

    Port 0 takes a free one. *state* keeps accounts, phones and ports over restarts. Raises StateError for a file that
    is not a state, OSError when the port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    world = World()
    phones = Phones(world)
    server = SandboxServer(world, host, port, state)
    for routes in (AdminApi(phones).routes(), GroupApi(phones).routes(), ServerApi(world).routes(), page_routes()):
        server.add_routes(routes)
    saved: list[dict[str, Any]] = []
    server.state.add_section("phones", phones.to_json, saved.extend)
    # Phones first: a client that comes back at once finds everybody it knows.
    await phones.restore(saved)
    try:
        async with server:
            ready(server.descriptor)
            await stop.wait()
            await phones.aclose()
    finally:
        await phones.aclose()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="zapwire sandbox", description="A loopback WhatsApp with virtual phones.")
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:0", help="where to listen (%(default)s)")
    parser.add_argument("--state", metavar="FILE", type=Path, help="keeps accounts and devices over restarts")
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdecimal():
        parser.error("--listen needs HOST:PORT")
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(run_sandbox(host.strip("[]"), int(port), options.state, _say))
    except (StateError, OSError) as error:
        parser.exit(1, f"the sandbox cannot start: {error}\n")
    return 0


def _say(descriptor: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(descriptor) + "\n")
    sys.stdout.flush()
