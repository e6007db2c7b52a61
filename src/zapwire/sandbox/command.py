"""`zapwire sandbox`: the whole loopback WhatsApp as one program."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from zapwire.sandbox.phones.errors import BadRequest
from zapwire.sandbox.running import running_sandbox
from zapwire.sandbox.server.network.sandbox_server import REGISTRATION_SECONDS
from zapwire.sandbox.server.state_file import StateError


async def run_sandbox(
    host: str,
    port: int,
    state: Path | None,
    ready: Callable[[dict[str, Any]], None],
    registration_seconds: float = REGISTRATION_SECONDS,
    *,
    people: Mapping[str, str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; *ready* gets the descriptor as soon as clients can connect.

    Port 0 takes a free one. A client that is not scanned within *registration_seconds* is cut off. *state* keeps
    accounts, phones and ports over restarts. *people* (number to name) have phones from the start. Raises StateError
    for a file that is not a state, BadRequest for a number that is none, OSError when the port is taken.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running_sandbox(host, port, state, registration_seconds) as sandbox:
        for phone, name in (people or {}).items():
            await sandbox.phones.ensure(phone, name)
        ready(sandbox.descriptor)
        await stop.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="zapwire sandbox", description="A loopback WhatsApp with virtual phones.")
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:0", help="where to listen (%(default)s)")
    parser.add_argument("--state", metavar="FILE", type=Path, help="keeps accounts and devices over restarts")
    parser.add_argument(
        "--pairing-seconds",
        metavar="N",
        type=float,
        default=REGISTRATION_SECONDS,
        help="how long an unscanned client may wait before its socket is closed (%(default)s)",
    )
    parser.add_argument(
        "--phone", metavar="NUMBER=NAME", action="append", default=[], help="a virtual phone from the start; repeatable"
    )
    parser.add_argument("--log-level", default="warning", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args(arguments)
    host, _, port = options.listen.rpartition(":")
    if not host or not port.isdecimal():
        parser.error("--listen needs HOST:PORT")
    people = {number: name for number, _, name in (person.partition("=") for person in options.phone)}
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(
            run_sandbox(host.strip("[]"), int(port), options.state, _say, options.pairing_seconds, people=people)
        )
    except (StateError, BadRequest, OSError) as error:
        parser.exit(1, f"the sandbox cannot start: {error}\n")
    return 0


def _say(descriptor: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(descriptor) + "\n")
    sys.stdout.flush()
