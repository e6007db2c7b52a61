"""Messages of many bots at once, in and out."""

from __future__ import annotations

import asyncio
import time

from bench.scale.farm import Farm, bot_name, bot_number

OUT = 30
"""Messages that each bot sends."""
IN = 30
"""Messages that each bot gets."""
SENDERS = 20
CALLS_AT_ONCE = 200


def _contact(number: int) -> str:
    return f"49153{number:08}"


async def outbound(farm: Farm, bots: int) -> float:
    """Each bot writes to a contact of its own; messages a second, until WhatsApp has taken the last one."""
    await asyncio.gather(*(farm.sandbox.phone(_contact(number)) for number in range(bots)))
    room = asyncio.Semaphore(CALLS_AT_ONCE)

    async def write(number: int, turn: int) -> None:
        async with room:
            await farm.daemon.send(bot_name(number), "+" + _contact(number), f"message {turn}")

    for number in range(bots):  # the first one makes the session, which costs extra
        await write(number, -1)
    await _until_sent(farm, bots)
    before = await _counted(farm, "sent")
    began = time.monotonic()
    await asyncio.gather(*(write(number, turn) for turn in range(OUT) for number in range(bots)))
    await _until(farm, "sent", before + OUT * bots)
    return OUT * bots / (time.monotonic() - began)


async def inbound(farm: Farm, bots: int) -> float:
    """Contacts write to all bots; messages a second, from the first call to the last message stored."""
    phones = [await farm.sandbox.phone(_contact(900_000 + number)) for number in range(SENDERS)]

    async def write(number: int, times: int) -> None:
        body = {"to": bot_number(number), "text": "hello", "times": times}
        await phones[number % SENDERS].call("POST", "/send", body)

    before = await _counted(farm, "received")
    await asyncio.gather(*(write(number, 1) for number in range(bots)))
    await _until(farm, "received", before + bots)
    began = time.monotonic()
    await asyncio.gather(*(write(number, IN) for number in range(bots)))
    await _until(farm, "received", before + bots + IN * bots)
    return IN * bots / (time.monotonic() - began)


async def _counted(farm: Farm, which: str) -> int:
    return int((await farm.daemon.call("GET", "/v1/stats", bots="none"))["total"][which]["count"])


async def _until_sent(farm: Farm, count: int) -> None:
    await _until(farm, "sent", count)


async def _until(farm: Farm, which: str, count: int, within: float = 300) -> None:
    async with asyncio.timeout(within):
        while await _counted(farm, which) < count:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.1)
