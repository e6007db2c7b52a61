"""Orders in any number, order and overlap, with a connection that fails when it likes: the bot ends where it should."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from tests.core.scripted import ALICE, PHONE, QUICK, World, eventually, paired, qr, text, world
from zapwire.core.supervisor import Order
from zapwire.errors import Blocked, Conflict, LoggedOut, NotFound, PairingTimedOut, TransportError
from zapwire.model import BotState
from zapwire.transport.base import Connected, Disconnected

EAGER = replace(QUICK, logout_time=0.05, backoff_first=0.001, backoff_most=0.002, starts_per_minute=10_000)
ORDERS = ("connect", "disconnect", "restart", "logout", "refresh_qr", "delete", "create", "say")
NEWS: dict[str, Callable[[], Any]] = {
    "qr": qr,
    "paired": paired,
    "connected": lambda: Connected(ALICE),
    "disconnected": lambda: Disconnected("gone"),
    "fails": lambda: TransportError("no network"),
    "bug": lambda: RuntimeError("a bug"),
    "logged out": lambda: LoggedOut("removed", action="pair again"),
    "timed out": lambda: PairingTimedOut("ran out", action="connect again"),
    "blocked": lambda: Blocked("banned", action="wait"),
}
STEP = st.tuples(st.sampled_from((*ORDERS, *NEWS)), st.integers(0, 3))
"""What happens, and how many turns of the event loop pass before the next."""


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, max_size=14))
def test_whatever_happens_the_last_order_is_followed(steps: list[tuple[str, int]]):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(Path(folder) / "db", steps))


async def follow(path: Path, steps: list[tuple[str, int]]) -> None:
    async with world(path, limits=EAGER) as at:
        await at.core.fleet.create("a")
        under_way = []
        for step, turns in steps:
            if step in NEWS:
                if "a" in at.transports.made:
                    at.transports["a"].script.put_nowait(NEWS[step]())
            else:
                under_way.append(asyncio.create_task(order(at, step)))
            for _ in range(turns):
                await asyncio.sleep(0)
        await asyncio.gather(*under_way)
        await settled(at)
        await check(at)
        await nothing_is_left_behind(at)
        await orders_still_work(at)
        stored = [(view.id, view.identity) for view in await at.core.fleet.list()]
    async with world(path, limits=EAGER) as at:
        assert [(view.id, view.identity) for view in await at.core.fleet.list()] == stored
    assert all(transport.running == 0 for transport in at.transports.made.values())


async def order(at: World, step: str) -> None:
    with suppress(NotFound, Conflict):  # deleted, made already, or linked: all fair answers
        if step == "say":
            await at.core.sender.submit("a", PHONE, "text", {"text": "hello"})
            return
        await getattr(at.core.fleet, step)("a")


async def settled(at: World) -> None:
    """Until the connection has read its script, and what was ordered is done."""

    def quiet() -> bool:
        bot = at.core.fleet._bots.get("a")
        if bot is None:
            return True
        transport = at.transports["a"]
        if bot._supervisor.order is Order.RUN and bot.view.state not in statuses_halted():
            return transport.running == 1 and transport.script.empty()
        return transport.running == 0 and bot._supervisor.order in {Order.STOP, Order.RUN}

    await eventually(quiet)
    await asyncio.sleep(0.01)
    await eventually(quiet)


def statuses_halted() -> set[BotState]:
    return {BotState.PAIRING_TIMED_OUT, BotState.LOGGED_OUT, BotState.BLOCKED}


async def check(at: World) -> None:
    """The state agrees with the order, the journal with the state, the database with the memory."""
    rows = await at.database.read(lambda sql: sql.execute("SELECT id FROM bots").fetchall())
    assert [row[0] for row in rows] == [view.id for view in await at.core.fleet.list()]
    if not rows:
        return
    bot = at.core.fleet._bots["a"]
    view = bot.view
    if bot._supervisor.order is Order.STOP:
        assert view.state in {BotState.STOPPED, BotState.LOGGED_OUT}
    else:
        assert view.state is not BotState.STOPPED
    told = [event.data for event in await at.events("bot.state")]
    if told:
        assert told[-1]["state"] == view.state.value
        assert told[-1]["reason"] == view.reason
    assert all(before != after for before, after in pairwise(told)), "a repeat was told"
    online = at.core.sender._lanes["a"]._online
    assert online == (view.state is BotState.CONNECTED)


async def nothing_is_left_behind(at: World) -> None:
    """What the database calls queued waits in the lane, in the same order, and nothing else does."""
    lane = at.core.sender._lanes.get("a")
    if lane is None:
        return
    await eventually(lambda: not lane._queue.busy and not lane._records and not at.core.sender._failing)
    rows = await at.database.read(lambda sql: sql.execute("SELECT id, state FROM outbox ORDER BY n").fetchall())
    assert all(state != "sending" for _, state in rows)
    waiting = [message.id for message in lane._queue.messages()]
    assert waiting == [message for message, state in rows if state == "queued"]
    assert lane.waiting == len(waiting)
    for message, state in rows:
        told = [event.data["state"] for event in await at.events("message.status") if event.data["id"] == message]
        assert told == ([] if state == "queued" else [state])


async def orders_still_work(at: World) -> None:
    await order(at, "create")
    await at.core.fleet.disconnect("a")
    await eventually(lambda: at.transports["a"].running == 0)
    transport = at.transports["a"]
    while not transport.script.empty():
        transport.script.get_nowait()
    await at.core.fleet.connect("a")
    await at.tell("a", Connected(ALICE))
    await at.tell("a", text("A"))
    await at.until("a", BotState.CONNECTED)
