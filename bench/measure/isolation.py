"""What one bot in ten that hangs, and one receiver in ten that never answers, cost the others.

Ten bots of one daemon: their sends and incoming messages are timed while all is well, then while the server is frozen
for one of the bots, to which messages are sent all the time, and one of ten webhooks accepts and never answers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from bench.measure.pairing import pair
from bench.table import Table, percentile
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Phone, Sandbox

BOTS = 10
ROUNDS = 40
SICK = "bench-0"
HANGING = 40
"""Messages that are submitted to the frozen bot; more than it can have under way."""
FREEZE_TAKES = 35.0
"""Seconds after which the first deadlines of the frozen bot's calls have passed."""


async def measure(table: Table, folder: Path, sandbox: Sandbox) -> None:
    """Columns: one in ten sick, all well."""
    folder.mkdir()
    async with AsyncExitStack() as stack:
        daemon = await stack.enter_async_context(Daemon(folder, sandbox.descriptor_file))
        mute = await stack.enter_async_context(_mute())
        receivers = [await stack.enter_async_context(Receiver()) for _ in range(BOTS - 1)]
        numbers = [f"4915100070{number:03}" for number in range(BOTS)]
        for number in range(BOTS):
            await pair(sandbox, daemon, f"bench-{number}", numbers[number])
        contacts = [await sandbox.phone(f"4915100080{number:03}") for number in range(BOTS)]
        for receiver in receivers:
            await daemon.call("POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"]})
        await _round(daemon, numbers, contacts, receivers)  # sessions are made
        well = await _rounds(daemon, numbers, contacts, receivers)
        await daemon.call("POST", "/v1/webhooks", {"url": mute, "events": ["message.received"], "concurrency": 64})
        await sandbox.call("POST", "/faults", {"kind": "freeze", "phone": numbers[0]})
        for number in range(HANGING):
            await daemon.send(SICK, f"+4915100081{number:03}", "into the void")
        sick = await _rounds(daemon, numbers, contacts, receivers, at_least=FREEZE_TAKES)
        await sandbox.call("POST", "/faults", {"kind": "clear"})
        for index, what in enumerate(
            ("a healthy bot's send, call to `sent`", "a message to a healthy bot, to its webhook")
        ):
            for share, name in ((0.5, "p50"), (0.99, "p99")):
                columns = [percentile([one[index] * 1000 for one in rounds], share) for rounds in (sick, well)]
                table.add(f"{what}, {name}", columns, "ms")
        unknown = [one for one in sick if one[0] == float("inf")]
        table.add("healthy bots' sends that were not sent", (len(unknown), 0), "")
        reconnects = sum([await _reconnects(daemon, f"bench-{number}") for number in range(1, BOTS)])
        table.add("healthy bots' connections that were lost", (reconnects, 0), "")


async def _rounds(
    daemon: Daemon, numbers: list[str], contacts: list[Phone], receivers: list[Receiver], *, at_least: float = 0.0
) -> list[tuple[float, float]]:
    began, found = time.monotonic(), list[tuple[float, float]]()
    while len(found) < ROUNDS * (BOTS - 1) or time.monotonic() - began < at_least:
        found += await _round(daemon, numbers, contacts, receivers)
    return found


async def _round(
    daemon: Daemon, numbers: list[str], contacts: list[Phone], receivers: list[Receiver]
) -> list[tuple[float, float]]:
    """One message out and one in for each bot but the first, one bot after the other; seconds of each."""
    found = []
    for number in range(1, BOTS):
        started = time.monotonic()
        answer = await daemon.send(f"bench-{number}", f"+{contacts[number].number}", "hello", wait=30)
        took = time.monotonic() - started if answer["state"] in {"sent", "delivered", "read"} else float("inf")
        started = time.monotonic()
        await contacts[number].send(numbers[number], "hello yourself")
        await asyncio.gather(*(receiver.next(60) for receiver in receivers))
        found.append((took, time.monotonic() - started))
    return found


async def _reconnects(daemon: Daemon, bot: str) -> int:
    history = (await daemon.call("GET", f"/v1/bots/{bot}/history"))["history"]
    return sum(entry["state"] == "reconnecting" for entry in history)


@asynccontextmanager
async def _mute() -> AsyncIterator[str]:
    """A port that accepts and never answers."""

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    finally:
        server.close()
