"""One contender's figures: sends one after another and at once, messages in at a steady pace and in a burst."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from bench.compare.contenders import Contender
from bench.measure.sending import stanzas
from bench.table import percentile
from tests.harness.sandbox import Phone, Sandbox

BOTS: Final = 4
CONTACTS: Final = 8
SINGLE: Final = 200
AT_ONCE: Final = 8
MANY: Final = 800
"""Sends of all bots together, by `AT_ONCE` callers."""
PACE: Final = 20
STEADY: Final = 200
BURST: Final = 1000
QUIET: Final = 1.0
"""Seconds after the last news before processor time is read."""


@dataclass
class Result:
    """In ms, per second, and ms of processor for each message."""

    name: str
    send_p50: float
    send_p99: float
    send_rate: float
    send_cpu: float
    in_p50: float
    in_p99: float
    in_rate: float
    in_cpu: float


async def measure(contender: Contender, sandbox: Sandbox) -> Result:
    """Pair its bots and take the figures, one after the other."""
    contacts = [await sandbox.phone(f"49151{contender.prefix[-4:]}8{number:02}") for number in range(CONTACTS)]
    for bot in range(BOTS):
        await contender.pair(sandbox, bot)
        for contact in contacts:  # the first message sets up the Signal session
            await contender.send(bot, contact.number, ["warm up"], at_once=1)
    single = await _one_after_another(contender, sandbox, contacts)
    rate, cpu = await _at_once(contender, contacts)
    steady = await _steady(contender, sandbox, contacts)
    in_rate, in_cpu = await _burst(contender, sandbox, contacts)
    return Result(
        contender.name,
        *(percentile(single, 0.5), percentile(single, 0.99), rate, cpu),
        *(percentile(steady, 0.5), percentile(steady, 0.99), in_rate, in_cpu),
    )


async def _one_after_another(contender: Contender, sandbox: Sandbox, contacts: list[Phone]) -> list[float]:
    """From the API call to the stanza at the server, in ms."""
    mark, sent = time.time(), []
    for number in range(SINGLE):
        sent += await contender.send(0, contacts[number % CONTACTS].number, [f"single {number}"], at_once=1)
    arrived = await stanzas(sandbox, "in", mark)
    return [(arrived[ours] - began) * 1000 for ours, began in sent]


async def _at_once(contender: Contender, contacts: list[Phone]) -> tuple[float, float]:
    """Sends a second, and ms of processor for each with its receipts and webhooks."""
    before, began = contender.cpu(), time.monotonic()
    share = MANY // BOTS // CONTACTS

    async def all_of(bot: int, some: list[Phone]) -> None:
        for contact in some:
            await contender.send(bot, contact.number, [f"many {n}" for n in range(share)], at_once=1)

    callers = AT_ONCE // BOTS
    parts = [contacts[n::callers] for n in range(callers)]
    await asyncio.gather(*(all_of(bot, part) for bot in range(BOTS) for part in parts))
    took = time.monotonic() - began
    await _quiet(contender)
    return MANY / took, (contender.cpu() - before) * 1000 / MANY


async def _steady(contender: Contender, sandbox: Sandbox, contacts: list[Phone]) -> list[float]:
    """From the stanza out of the server to the webhook, in ms, at `PACE` messages a second."""
    mark = time.time()
    for number in range(STEADY):
        await contacts[number % CONTACTS].send(contender.number(0), f"steady {number}")
        await asyncio.sleep(max(0.0, mark + (number + 1) / PACE - time.time()))
    await _quiet(contender)
    got = {ours: at for kind, ours, at in await contender.seen() if kind == "message.received"}
    left = await stanzas(sandbox, "out", mark)
    return [(got[message] - at) * 1000 for message, at in left.items() if message in got]


async def _burst(contender: Contender, sandbox: Sandbox, contacts: list[Phone]) -> tuple[float, float]:
    """Messages a second from the first stanza to the last webhook, and ms of processor for each."""
    before, mark, known = contender.cpu(), time.time(), await _received(contender)
    one = {"to": contender.number(0), "text": "burst", "times": BURST // CONTACTS}
    await asyncio.gather(*(contact.call("POST", "/send", one) for contact in contacts))
    async with asyncio.timeout(120):
        while await _received(contender) < known + BURST:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.5)
    last = max(at for kind, _, at in await contender.seen() if kind == "message.received")
    first = min((await stanzas(sandbox, "out", mark)).values())
    await _quiet(contender)
    return BURST / (last - first), (contender.cpu() - before) * 1000 / BURST


async def _received(contender: Contender) -> int:
    return sum(kind == "message.received" for kind, _, _ in await contender.seen())


async def _quiet(contender: Contender) -> None:
    """Until nothing has been told for a while."""
    count = -1
    while (now := len(await contender.seen())) != count:
        count = now
        await asyncio.sleep(QUIET)
