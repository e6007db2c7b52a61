"""From the stanza leaving the server to the webhook received, and how many a second."""

from __future__ import annotations

import asyncio
import json
import time

from bench.engine import BareEngine
from bench.measure.sending import stanzas
from bench.table import Table, percentile
from tests.harness.daemon import Daemon
from tests.harness.receiver import Receiver
from tests.harness.sandbox import Phone, Sandbox

SINGLE = 200
BURST = 500
SENDERS = 5


async def measure(table: Table, sandbox: Sandbox, daemon: Daemon, bare: BareEngine) -> None:
    """Phones write to bot 0 of each; ours answers by webhook, bare neonize by its handler."""
    phones = [await sandbox.phone(f"4915100040{number:03}") for number in range(SENDERS)]
    async with Receiver() as receiver:
        await daemon.call(
            "POST", "/v1/webhooks", {"url": receiver.url, "events": ["message.received"], "bots": ["bench-0"]}
        )
        ours_ms = await _single_ours(sandbox, receiver, phones)
        bare_ms = await _single_bare(sandbox, bare, phones)
        p50, p99 = percentile(ours_ms, 0.5), percentile(ours_ms, 0.99)
        table.add("stanza out of the server to webhook, p50", (p50, percentile(bare_ms, 0.5)), "ms", "bare + 3; < 12")
        table.add("stanza out of the server to webhook, p99", (p99, percentile(bare_ms, 0.99)), "ms")
        ours = await _burst_ours(sandbox, receiver, phones)
        base = await _burst_bare(sandbox, bare, phones)
        table.add(f"messages in, a burst of {BURST}", (ours, base), "/s", "> 167")


async def _single_ours(sandbox: Sandbox, receiver: Receiver, phones: list[Phone]) -> list[float]:
    mark = time.time()
    got: dict[str, float] = {}
    for number in range(SINGLE):
        await phones[number % SENDERS].send("4915100010000", f"single {number}")
        delivery = await receiver.next()
        got[json.loads(delivery.body)["data"]["id"]] = time.time()
    left = await stanzas(sandbox, "out", mark)
    return [(at - left[message]) * 1000 for message, at in got.items()]


async def _single_bare(sandbox: Sandbox, bare: BareEngine, phones: list[Phone]) -> list[float]:
    mark = time.time()
    bare.forget()
    for number in range(SINGLE):
        await phones[number % SENDERS].send("4915100020000", f"single {number}")
        await bare.until_count("received", number + 1)
    left = await stanzas(sandbox, "out", mark)
    return [(a["at"] - left[a["received"]]) * 1000 for a in bare.all("received") if a["received"] in left]


async def _send_burst(phones: list[Phone], to: str) -> None:
    async def one(phone: Phone) -> None:
        await phone.call("POST", "/send", {"to": to, "text": "burst", "times": BURST // SENDERS})

    await asyncio.gather(*(one(phone) for phone in phones))


async def _burst_ours(sandbox: Sandbox, receiver: Receiver, phones: list[Phone]) -> float:
    mark = time.time()
    sending = asyncio.create_task(_send_burst(phones, "4915100010000"))
    for _ in range(BURST):
        await receiver.next(60)
    ended = time.time()
    await sending
    return BURST / (ended - min((await stanzas(sandbox, "out", mark)).values()))


async def _burst_bare(sandbox: Sandbox, bare: BareEngine, phones: list[Phone]) -> float:
    mark = time.time()
    bare.forget()
    sending = asyncio.create_task(_send_burst(phones, "4915100020000"))
    await bare.until_count("received", BURST)
    ended = time.time()
    await sending
    return BURST / (ended - min((await stanzas(sandbox, "out", mark)).values()))
