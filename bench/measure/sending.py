"""From the API call to the stanza at the server, and how many a second."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from bench.engine import BareEngine
from bench.table import Table, percentile
from tests.harness.daemon import Daemon
from tests.harness.sandbox import Sandbox

SINGLE = 200
BURST = 300
LANES = 4


async def measure(table: Table, sandbox: Sandbox, daemon: Daemon, bare: BareEngine) -> None:
    """Sends from the bots that bench.measure.pairing linked."""
    contacts = [f"4915100030{number:03}" for number in range(20)]
    for number in contacts:
        await sandbox.phone(number)
    for number in contacts:  # first messages set up the Signal sessions
        await daemon.send("bench-0", number, "warm up", wait=10)
    await bare.tell(do="send", names=["bench-0"], to=contacts[0], count=2)
    await bare.until(lambda a: "done" in a)
    bare.forget()

    mark = time.time()
    ours = [await _one(daemon, contacts[number % len(contacts)]) for number in range(SINGLE)]
    arrived = await stanzas(sandbox, "in", mark)
    ours_ms = [(arrived[sent_id] - started) * 1000 for sent_id, started in ours]
    mark = time.time()
    await bare.tell(do="send", names=["bench-0"], to=contacts[0], count=SINGLE)
    await bare.until(lambda a: "done" in a)
    arrived = await stanzas(sandbox, "in", mark)
    bare_ms = [(arrived[a["sent"]] - a["started"]) * 1000 for a in bare.all("sent")]
    bare.forget()
    p50, p99 = percentile(ours_ms, 0.5), percentile(ours_ms, 0.99)
    table.add("API send to stanza at the server, p50", (p50, percentile(bare_ms, 0.5)), "ms", "bare + 3; < 19")
    table.add("API send to stanza at the server, p99", (p99, percentile(bare_ms, 0.99)), "ms")
    await _rates(table, sandbox, daemon, bare, contacts)


async def _one(daemon: Daemon, to: str) -> tuple[str, float]:
    started = time.time()
    answer = await daemon.send("bench-0", to, "latency", wait=10)
    message = await daemon.call("GET", f"/v1/bots/bench-0/messages/{answer['id']}")
    return message["whatsapp_id"], started


async def _rates(table: Table, sandbox: Sandbox, daemon: Daemon, bare: BareEngine, contacts: list[str]) -> None:
    for lanes, goal in ((1, "> 49"), (LANES, "> 69")):
        names = [f"bench-{n}" for n in range(lanes)]
        started = time.time()
        await asyncio.gather(*(_burst(daemon, name, contacts) for name in names))
        ours = lanes * BURST / (await _last_stanza(sandbox, started, lanes * BURST) - started)
        started = time.time()
        await bare.tell(do="send", names=names, to=contacts[0], count=BURST)
        await bare.until(lambda a: "done" in a, within=180)
        base = lanes * BURST / (max(a["at"] for a in bare.all("sent")) - started)
        bare.forget()
        table.add(f"messages out, {lanes} bot{'s' * (lanes > 1)}", (ours, base), "/s", goal)


async def _burst(daemon: Daemon, name: str, contacts: list[str]) -> None:
    for number in range(BURST):
        await daemon.send(name, contacts[number % len(contacts)], f"burst {number}")


async def _last_stanza(sandbox: Sandbox, since: float, count: int) -> float:
    async with asyncio.timeout(180):
        while len(times := await stanzas(sandbox, "in", since)) < count:  # noqa: ASYNC110 -- asks another process
            await asyncio.sleep(0.2)
    return max(times.values())


async def stanzas(sandbox: Sandbox, direction: str, since: float) -> dict[str, float]:
    """When the server read ("in") or wrote ("out") each message stanza since then, by message id."""
    answer: Any = await sandbox.call("GET", "/trace", direction=direction, tag="message", since=str(since))
    return {entry["id"]: entry["at"] for entry in answer["stanzas"]}
