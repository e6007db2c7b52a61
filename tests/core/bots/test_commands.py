"""Orders in any number, order and overlap, with a connection that fails when it likes: the bot ends where it should."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from tests.core.scripted import ALICE, PHONE, QUICK, ScriptedTransports, World, eventually, paired, qr, text, world
from zapwire.core.bots.supervisor import Command
from zapwire.model.bots import BotState
from zapwire.model.content.text import TextContent
from zapwire.model.errors import Blocked, Conflict, LoggedOut, NotFound, PairingTimedOut, TransportError
from zapwire.transport.protocol import Capabilities, Connected, Disconnected
from zapwire.vault import bundle

EAGER = replace(QUICK, logout_time=0.05, backoff_first=0.001, backoff_most=0.002, starts_per_minute=10_000, move_time=5)
POWERS = Capabilities(pairing_qr=True, pairing_code=True, proxy=True)
SECRET = "correct horse battery"
ORDERS = (
    "connect", "disconnect", "restart", "logout", "force logout", "refresh_qr", "delete", "force delete", "create",
    "say", "proxy", "export", "move", "import",
)  # fmt: skip
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
STEP = st.tuples(st.sampled_from((*ORDERS, *NEWS, "cut off", "reachable")), st.integers(0, 3))
"""What happens, and how many turns of the event loop pass before the next."""
STOPS = st.tuples(st.sampled_from((0, 1, 20)), st.sampled_from((None, TransportError("broke"), RuntimeError("a bug"))))
"""How many turns stopping takes, and what it ends with."""


class Quick(ScriptedTransports):
    async def try_proxy(self, proxy: Any) -> None:
        """All work."""


@pytest.fixture(autouse=True, scope="module")
def cheap_passphrases() -> Iterator[None]:
    """Deriving the key of a bundle takes a second on purpose, and is not what is looked at here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "pack", lambda passphrase, content: content)
        patch.setattr(bundle, "unpack", lambda passphrase, content: content)
        yield


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, max_size=14), stops=STOPS)
def test_whatever_happens_the_last_order_is_followed(steps: list[tuple[str, int]], stops: tuple[int, Exception | None]):
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(Path(folder) / "db", steps, stops))


async def follow(path: Path, steps: list[tuple[str, int]], stops: tuple[int, Exception | None]) -> None:
    transports = Quick()
    transports.manners = {"stop_turns": stops[0], "stop_error": stops[1], "capabilities": POWERS}
    async with world(path, limits=EAGER, transports=transports) as at:
        await at.core.bots.create("a")
        under_way = []
        for step, turns in steps:
            if step in {"cut off", "reachable"}:
                at.transports["a"].reachable = step == "reachable"
            elif step in NEWS:
                at.transports["a"].script.put_nowait(NEWS[step]())
            else:
                under_way.append(asyncio.create_task(order(at, step)))
            for _ in range(turns):
                await asyncio.sleep(0)
        async with asyncio.timeout(30):  # nobody waits for ever
            await asyncio.gather(*under_way)
        at.transports["a"].reachable = True
        await settled(at)
        await check(at)
        await nothing_is_left_behind(at)
        stored = [(view.id, view.identity) for view in await at.core.bots.list()]
    async with world(path, limits=EAGER, transports=transports) as at:
        assert [(view.id, view.identity) for view in await at.core.bots.list()] == stored
        await orders_still_work(at)
    assert all(transport.running == 0 for transport in at.transports.made.values())


BUNDLES: dict[str, bytes] = {}


async def order(at: World, step: str) -> None:
    registry, force = at.core.bots, step.startswith("force ")
    with suppress(NotFound, Conflict, LoggedOut):  # deleted, made already, linked or not: all fair answers
        match step.removeprefix("force "):
            case "say":
                await at.core.outbox.submit("a", PHONE, TextContent(text="hello"))
            case "logout":
                await registry.get("a").logout(force=force)
            case "delete":
                await registry.delete("a", force=force)
            case "create":
                await registry.create("a")
            case "refresh_qr":
                await registry.get("a").restart(pairing=True)
            case "proxy":
                await registry.get("a").change(proxy="http://proxy.example:3128", proxy_check=False)
            case "export" | "move" as name:
                BUNDLES["a"] = await at.core.transfer.export("a", SECRET, move=name == "move")
            case "import":
                if "a" in BUNDLES:
                    await at.core.transfer.bring(BUNDLES["a"], SECRET)
            case name:
                await getattr(registry.get("a"), name)()


async def settled(at: World) -> None:
    """Until the connection has read its script, and what was ordered is done."""

    def quiet() -> bool:
        bot = at.core.bots._bots.get("a")
        if bot is None:
            return True
        transport = at.transports["a"]
        if bot._supervisor._unlink_due or bot.current.leaving:
            return False
        if bot._supervisor.command is Command.RUN and bot.view.state not in statuses_halted():
            on_its_way = transport.linked and bot.view.state is BotState.STARTING
            return transport.running == 1 and transport.script.empty() and not on_its_way
        return transport.running == 0 and bot._supervisor.command in {Command.STOP, Command.RUN}

    while True:
        await eventually(quiet)
        for _ in range(3):  # what was begun has been stored, and what follows from that has begun
            await at.core.check()
        if quiet():
            return


def statuses_halted() -> set[BotState]:
    return {BotState.PAIRING_TIMED_OUT, BotState.LOGGED_OUT, BotState.BLOCKED}


async def check(at: World) -> None:
    """The state agrees with the order, the journal with the state, the database with the memory."""
    rows = await at.database.read(lambda sql: sql.sql.execute("SELECT id FROM bots").fetchall())
    assert [row[0] for row in rows] == [view.id for view in await at.core.bots.list()]
    if not rows:
        return
    bot = at.core.bots._bots["a"]
    view = bot.view
    assert bot.current.row.unlinking is None
    assert not at.core.bots._making
    if bot._supervisor.command is Command.STOP:
        assert view.state in {BotState.STOPPED, BotState.LOGGED_OUT}
        assert bot._supervisor.idle.is_set()
    else:
        assert view.state is not BotState.STOPPED
    told = [event.data for event in await at.events("bot.state")]
    if told:
        assert told[-1]["state"] == view.state.value
        assert told[-1]["reason"] == view.reason
    assert all(before != after for before, after in pairwise(told)), "a repeat was told"
    online = at.core.outbox._workers["a"]._online
    assert online == (view.state is BotState.CONNECTED)


async def nothing_is_left_behind(at: World) -> None:
    """What the database calls queued waits in the lane, in the same order, and nothing else does."""
    lane = at.core.outbox._workers.get("a")
    if lane is None:
        return
    await eventually(lambda: not lane._queue.busy and not lane._records and not at.core.outbox._former._bots)
    rows = await at.database.read(lambda sql: sql.sql.execute("SELECT id, state FROM outbox ORDER BY n").fetchall())
    assert all(state != "sending" for _, state in rows)
    waiting = [message.id for message in lane._queue.messages()]
    assert waiting == [message for message, state in rows if state == "queued"]
    assert lane.waiting == len(waiting)
    for message, state in rows:
        told = [event.data["state"] for event in await at.events("message.status") if event.data["id"] == message]
        assert told == ([] if state == "queued" else [state])


async def orders_still_work(at: World) -> None:
    if at.core.bots.has("a") and at.core.bots.get("a").current.row.moved:
        with pytest.raises(Conflict):
            await at.core.bots.get("a").connect()
        await at.core.bots.delete("a")
    await order(at, "create")
    await at.core.bots.get("a").disconnect()
    await eventually(lambda: at.transports["a"].running == 0)
    transport = at.transports["a"]
    while not transport.script.empty():
        transport.script.get_nowait()
    await at.core.bots.get("a").connect()
    await at.tell("a", Connected(ALICE))
    await at.tell("a", text("A"))
    await at.until("a", BotState.CONNECTED)


ENDS = {
    "connect": {"connected"},
    "restart": {"connected"},
    "disconnect": {"stopped"},
    "logout": {"logged_out"},
    "force logout": {"logged_out"},
    "delete": {"gone"},
    "force delete": {"gone"},
    "move": {"moved"},
    "export": set(),
    "import": set(),
    "refresh_qr": set(),
    "proxy": set(),
}
"""What each order leads to; those without an end change nothing of a linked bot that is there."""


@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("second", ENDS)
async def test_of_two_orders_at_once_the_last_accepted_one_is_followed(tmp_path: Path, first: str, second: str):
    for number, turns in enumerate((0, 3, 12, 60)):  # the second comes while the first is being followed
        transports = Quick(linked=True)
        transports.manners = {"stop_turns": 30, "capabilities": POWERS}
        async with world(tmp_path / str(number), limits=EAGER, transports=transports) as at, asyncio.timeout(20):
            await at.core.bots.create("a")
            await at.until("a", BotState.CONNECTED)
            BUNDLES["a"] = await at.core.transfer.export("a", SECRET, move=False)
            accepted: list[str] = []

            async def give(name: str, at: World = at, accepted: list[str] = accepted) -> None:
                await plainly(at, name)
                accepted.append(name)

            one = asyncio.create_task(give(first))
            for _ in range(turns):
                await asyncio.sleep(0)
            other = asyncio.create_task(give(second))
            refused = await asyncio.gather(one, other, return_exceptions=True)
            assert all(error is None or isinstance(error, Conflict | NotFound) for error in refused)
            assert accepted or {first, second} <= {"import", "refresh_qr"}  # which a linked bot refuses
            await settled(at)
            assert end_of(at) in possible_ends([name for name in (first, second) if name in accepted])


async def plainly(at: World, step: str) -> None:
    """Like `order`, with its refusals."""
    registry, force = at.core.bots, step.startswith("force ")
    match step.removeprefix("force "):
        case "logout":
            await registry.get("a").logout(force=force)
        case "delete":
            await registry.delete("a", force=force)
        case "refresh_qr":
            await registry.get("a").restart(pairing=True)
        case "proxy":
            await registry.get("a").change(proxy="http://proxy.example:3128", proxy_check=False)
        case "export" | "move" as name:
            await at.core.transfer.export("a", SECRET, move=name == "move")
        case "import":
            await at.core.transfer.bring(BUNDLES["a"], SECRET)
        case name:
            await getattr(registry.get("a"), name)()


def end_of(at: World) -> str:
    if not at.core.bots.has("a"):
        return "gone"
    view = at.core.bots.get("a").view
    return "moved" if view.code == "moved" else view.state.value


def possible_ends(accepted: list[str]) -> set[str]:
    """Where a linked and connected bot may be after the orders of *accepted*, in their order."""
    names = [name for name in accepted if ENDS[name]]
    if any(name.endswith("delete") for name in names):
        # Imported again after that, if the import was accepted then.
        return {"gone", "connected"} if "import" in accepted else {"gone"}
    ends = {"connected"} if not names else set(ENDS[names[-1]])
    if "import" in accepted:  # accepted only where it had moved away
        ends |= {"connected"}
    if any(name.endswith("logout") for name in names):  # done in any case, then what came after it
        ends = {"logged_out", *({"connected", "starting"} if {"connect", "restart"} & set(names) else set())}
    if len(names) == 2:  # one of them may have been accepted before the other began to be followed
        ends |= ENDS[names[0]] if names[0] == "move" or names[1] == "move" else set()
    return ends
