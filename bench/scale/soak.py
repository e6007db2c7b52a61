"""`make soak`, second half: many bots for an hour with random faults and traffic.

`SOAK_SECONDS` (3600), `SOAK_BOTS` (100), `SOAK_SEED`. Fails when a message is unaccounted for: one that was written to
a bot and not told exactly once, or one that the bot calls sent and that did not arrive exactly once.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from bench.scale.farm import Farm, bot_name, bot_number
from bench.table import Figures
from tests.harness.sandbox import Phone

SECONDS = float(os.environ.get("SOAK_SECONDS", "3600"))
BOTS = int(os.environ.get("SOAK_BOTS", "100"))
SEED = int(os.environ.get("SOAK_SEED", str(time.time_ns() % 100_000)))
PACE = 0.1
"""Seconds between two messages, in and out each."""
FAULT_EVERY = (5.0, 25.0)
SAMPLE_EVERY = 5.0
TELL_EVERY = 60.0
WARM = 0.25
"""Share of the time that is no part of the slopes."""
REST = 300.0
"""Seconds that everything gets to arrive at the end."""
MEGABYTE = 1 << 20


class Soak:
    """One run."""

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._chance = random.Random(SEED)
        self._in: dict[str, str] = {}
        """WhatsApp's ids of what was written to bots, and to which."""
        self._told: Counter[str] = Counter()
        self._out: dict[str, str] = {}
        """Texts by our ids, of what bots sent."""
        self._ended: dict[str, str] = {}
        self._samples: list[tuple[float, int, int, int]] = []
        self.faults: Counter[str] = Counter()
        self.figures = Figures()

    async def run(self) -> bool:
        """True when nothing is unaccounted for."""
        await self._farm.daemon.start()
        await self._farm.pair(BOTS)
        await self._farm.want(BOTS)
        await self._farm.daemon.stop()
        await self._farm.daemon.start()
        await self._farm.until_connected([bot_name(number) for number in range(BOTS)])
        writers = [await self._farm.sandbox.phone(f"49154{number:08}") for number in range(BOTS)]
        readers = [await self._farm.sandbox.phone(f"49155{number:08}") for number in range(BOTS)]
        reading = asyncio.create_task(self._read())
        jobs = [self._write(writers), self._send(readers), self._break(), self._sample()]
        tasks = [asyncio.create_task(job) for job in jobs]
        await asyncio.wait(tasks, timeout=SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
        await self._farm.sandbox.call("POST", "/faults", {"kind": "clear"})
        await self._settle()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        return await self._report(readers)

    # -- traffic ------------------------------------------------------------------------------------------------

    async def _write(self, writers: list[Phone]) -> None:
        while True:
            number = self._chance.randrange(BOTS)
            self._in[await writers[number].send(bot_number(number), "hello")] = bot_name(number)
            await asyncio.sleep(PACE)

    async def _send(self, readers: list[Phone]) -> None:
        turn = 0
        while True:
            number, turn = self._chance.randrange(BOTS), turn + 1
            text = f"message {turn}"
            sent = await self._farm.daemon.send(bot_name(number), "+" + readers[number].number, text)
            self._out[sent["id"]] = text
            await asyncio.sleep(PACE)

    async def _read(self) -> None:
        after = (await self._farm.daemon.call("GET", "/v1/events", limit=1))["last_seq"]
        while True:
            with suppress(aiohttp.ClientError, TypeError, AssertionError, TimeoutError):
                async with self._farm.daemon.events("message.received", "message.status", after=after) as events:
                    while True:
                        event = await events.next(3600)
                        after = event["seq"]
                        self._take(event["type"], event["data"])
            await asyncio.sleep(0.5)

    def _take(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "message.received":
            self._told[data["id"]] += 1
        elif data["state"] not in {"queued", "sending"}:
            known = self._ended.get(data["id"])
            if known not in {"delivered", "read"}:
                self._ended[data["id"]] = data["state"]

    # -- faults -------------------------------------------------------------------------------------------------

    async def _break(self) -> None:
        faults: list[Callable[[], Awaitable[None]]] = [
            self._drop_one, self._drop_one, self._drop_all, self._freeze_one, self._refuse, self._restart_bot,
            self._stream_error,
        ]  # fmt: skip
        while True:
            await asyncio.sleep(self._chance.uniform(*FAULT_EVERY))
            fault = self._chance.choice(faults)
            self.faults[fault.__name__.strip("_")] += 1
            await fault()

    async def _fault(self, **body: Any) -> None:
        await self._farm.sandbox.call("POST", "/faults", body)

    def _number(self) -> str:
        return bot_number(self._chance.randrange(BOTS))

    async def _drop_one(self) -> None:
        await self._fault(kind="drop", phone=self._number())

    async def _drop_all(self) -> None:
        await self._fault(kind="drop")

    async def _freeze_one(self) -> None:
        number = self._number()
        await self._fault(kind="freeze", phone=number)
        await asyncio.sleep(self._chance.uniform(1, 30))
        await self._fault(kind="thaw", phone=number)

    async def _refuse(self) -> None:
        await self._fault(kind="refuse")
        await self._fault(kind="drop")
        await asyncio.sleep(self._chance.uniform(1, 20))
        await self._fault(kind="refuse", on=False)

    async def _stream_error(self) -> None:
        await self._fault(kind="stream-error", code="503", phone=self._number())

    async def _restart_bot(self) -> None:
        await self._farm.daemon.ask("POST", f"/v1/bots/{bot_name(self._chance.randrange(BOTS))}/restart")

    # -- figures ------------------------------------------------------------------------------------------------

    async def _sample(self) -> None:
        began = told_at = time.monotonic()
        while True:
            process = (await self._farm.daemon.call("GET", "/v1/stats", bots="none"))["process"]
            now = time.monotonic()
            self._samples.append((now, process["resident"], process["descriptors"], process["threads"]))
            if now - told_at >= TELL_EVERY:
                told_at = now
                line = f"{(now - began) / 60:.0f} min: {process['resident'] / MEGABYTE:.0f} MB, "
                line += f"{process['descriptors']} descriptors, {process['threads']} threads, "
                print(line + f"{len(self._in)} messages in, {len(self._out)} out", flush=True)
            await asyncio.sleep(SAMPLE_EVERY)

    async def _settle(self) -> None:
        deadline = time.monotonic() + REST
        while time.monotonic() < deadline:
            waiting = [m for m in self._in if not self._told[m]] + [m for m in self._out if m not in self._ended]
            if not waiting:
                break
            await asyncio.sleep(1)
        await asyncio.sleep(5)

    async def _report(self, readers: list[Phone]) -> bool:
        inbox: Counter[str] = Counter()
        for reader in readers:
            inbox.update(entry["text"] for entry in (await reader.call("GET", "/inbox", after=0))["messages"])
        lost = [m for m in self._in if not self._told[m]]
        twice = [m for m in self._in if self._told[m] > 1]
        open_ = [m for m in self._out if m not in self._ended]
        states = Counter(self._ended[m] for m in self._out if m in self._ended)
        went = {m for m in self._out if self._ended.get(m) in {"sent", "delivered", "read"}}
        missing = [m for m in went if inbox[self._out[m]] == 0]
        doubled = [m for m in self._out if inbox[self._out[m]] > 1]
        for what, value in (
            ("messages to bots", len(self._in)), ("never told", len(lost)), ("told twice", len(twice)),
            ("messages from bots", len(self._out)), ("without an end", len(open_)),
            ("sent but not arrived", len(missing)), ("arrived twice", len(doubled)),
            *((f"ended as {state}", count) for state, count in sorted(states.items())),
            *((f"fault {fault}", count) for fault, count in sorted(self.faults.items())),
        ):  # fmt: skip
            self.figures.add(what, value, "")
        self._slopes()
        return not (lost or twice or open_ or missing or doubled)

    def _slopes(self) -> None:
        samples = self._samples[int(len(self._samples) * WARM) :]
        hours = [(at - samples[0][0]) / 3600 for at, *_ in samples]
        for index, (what, unit, scale) in enumerate(
            [("RSS", "MB", MEGABYTE), ("descriptors", "", 1), ("threads", "", 1)], start=1
        ):
            values = [float(sample[index]) / scale for sample in samples]
            self.figures.add(f"{what} at the end", values[-1], unit)
            self.figures.add(f"{what}, slope", slope(hours, values), f"{unit}/h".strip())


def slope(xs: list[float], ys: list[float]) -> float:
    """Of the straight line through the points that fits best (least squares)."""
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / spread if spread else 0.0


async def main(folder: Path) -> int:
    """Run and print."""
    print(f"zapwire soak, {time.ctime()}: {BOTS} bots, {SECONDS:.0f} s, seed {SEED}", flush=True)
    async with Farm(folder) as farm:
        soak = Soak(farm)
        well = await soak.run()
    print("\n" + soak.figures.markdown())
    return 0 if well else 1


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="zapwire-soak-") as name:
        sys.exit(asyncio.run(main(Path(name))))
