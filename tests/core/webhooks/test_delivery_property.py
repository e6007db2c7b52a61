"""Whatever a receiver answers, and whenever the daemon restarts or dies: the rules of delivery hold.

The workers, the rows and the journal are the real ones, and the receiver is a real one on loopback.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.raw_receiver import raw_receiver
from tests.core.scripted import LOOPBACK, Failing
from tests.harness.keys import KEYS
from zapwire.core.events import serializers
from zapwire.core.network.ssrf_guard import SsrfGuard
from zapwire.core.person_merges import PersonMerges
from zapwire.core.tuning import Tuning
from zapwire.core.webhooks.delivery_log import DeliveryLog
from zapwire.core.webhooks.dispatcher import Dispatcher
from zapwire.core.webhooks.endpoints import Endpoints
from zapwire.core.webhooks.inline_replies import InlineReplies
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.deliveries import DeliveryFilter
from zapwire.model.events import EventType
from zapwire.model.messages import Party
from zapwire.store.sqlite.database import Database

BOT = BotId("bot")
LIMITS = Tuning(
    webhook_schedule=(0.001, 0.002, 0.001),
    webhook_window=4,
    webhook_chunk=3,
    webhook_streak=6,
    webhook_probe_first=0.002,
    webhook_probe_most=0.005,
    webhook_absence=0.003,
    webhook_drain=5.0,
    cursor_saved=0.002,
)
TRIES = len(LIMITS.webhook_schedule) + 1
BOTH = Party("222@lid", "+4915510000002", "222@lid")
CHATS = [replace(BOTH, phone=None), Party("4915510000002@s.whatsapp.net", BOTH.phone), Party("333@lid")]

taken, failed, lost = "taken", "failed", "taken, but the answer got lost"
answers = st.lists(st.sampled_from([taken, failed, lost]), max_size=5) | st.just([failed] * 30)
steps = st.lists(
    st.tuples(st.just("event"), st.integers(0, 2), answers)
    | st.tuples(st.just("event"), st.integers(0, 2), answers)
    | st.tuples(st.sampled_from(["restart", "crash", "pause", "pause"]))
    | st.tuples(st.just("replay"), st.integers(0, 30))
    | st.tuples(st.just("posts"), st.integers(1, 6)),
    min_size=2,
    max_size=25,
)


some = st.lists(
    st.tuples(st.just("event"), st.integers(0, 1), st.lists(st.just(failed), max_size=3))
    | st.tuples(st.just("event"), st.integers(0, 1), st.lists(st.just(failed), max_size=3))
    | st.tuples(st.sampled_from(["restart", "crash", "pause"]))
    | st.tuples(st.just("posts"), st.integers(1, 3)),
    min_size=1,
    max_size=6,
)


@dataclass
class Played:
    """The receiver, and what it saw."""

    plans: dict[str, list[str]] = field(default_factory=dict)
    chats: dict[str, int] = field(default_factory=dict)
    """Of each event, in the order of the journal. The first two are one person's, who is known by neither yet."""
    merged: bool = False
    one_chat: dict[str, set[int]] = field(default_factory=dict)
    """Of each event, whose chats were known to be its own when it was written."""
    bodies: dict[str, set[bytes]] = field(default_factory=dict)
    attempts: Counter[str] = field(default_factory=Counter)
    acknowledged: set[str] = field(default_factory=set)
    replayed: Counter[str] = field(default_factory=Counter)
    crashes: int = 0
    posts: int = 0
    busy: set[int] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    async def answer(self, content: bytes) -> bytes:
        event = json.loads(content)["id"]
        self.posts += 1
        self.check_order(event)
        chat, replayed = self.chats[event], self.replayed[event]
        if not replayed:
            if chat in self.busy:
                self.wrong.append(f"{event} and another one of its chat at the same time")
            self.busy.add(chat)
        try:
            await asyncio.sleep(random.choice([0, 0, 0.0005]))
        finally:  # a crash hangs up
            if not replayed:
                self.busy.discard(chat)
        self.bodies.setdefault(event, set()).add(content)
        plan = self.plans[event]
        answer = plan[self.attempts[event]] if self.attempts[event] < len(plan) else taken
        self.attempts[event] += 1
        if answer == taken:
            self.acknowledged.add(event)
            return b"HTTP/1.1 204 No Content\r\n\r\n"
        return b"" if answer == lost else b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"

    def check_order(self, event: str) -> None:
        """Nothing goes out for the first time before what is ahead of it in its chat is over."""
        if self.replayed[event] or self.attempts[event]:
            return
        for earlier, chat in self.chats.items():
            if earlier == event:
                return
            over = earlier in self.acknowledged or self.attempts[earlier] >= TRIES
            if chat in self.one_chat[event] and not over:
                self.wrong.append(f"{event} before {earlier}")

    def check(self, state: dict[str, str]) -> None:
        assert set(state) == set(self.chats)
        for event, how in state.items():
            assert how in {"delivered", "dead"}
            assert self.attempts[event] >= 1
            if how == "delivered":
                assert event in self.acknowledged
            most = TRIES * (1 + self.replayed[event]) + self.crashes + 2 * self.plans[event].count(lost)
            succeeded = event in self.acknowledged
            assert self.attempts[event] <= most + (self.crashes + self.replayed[event] if succeeded else 0)
            [body] = self.bodies[event]
            assert json.loads(body)["id"] == event


class Rig:
    def __init__(self, database: Database, seen: Played) -> None:
        self.database = database
        self.disk = Failing(database)
        self.seen = seen
        self.dispatcher: Dispatcher

    async def start(self) -> None:
        self.merges = PersonMerges()
        await self.merges.load(self.database)
        replies = InlineReplies(None, None, 0.01)  # type: ignore[arg-type]
        self.dispatcher = Dispatcher(self.database, replies, LIMITS, guard=SsrfGuard(LOOPBACK), merges=self.merges)
        await self.dispatcher.__aenter__()
        await self.dispatcher.start()

    async def stop(self) -> None:
        await self.dispatcher.__aexit__(None, None, None)

    async def event(self, chat: int, plan: list[str]) -> None:
        def work(transaction: Any) -> None:
            party = transaction.persons.learn(BOT, CHATS[chat]).party
            event = transaction.journal.append(EventType.MESSAGE_RECEIVED, BOT, {"chat": serializers.party_json(party)})
            self.seen.plans[event.id], self.seen.chats[event.id] = plan, chat
            self.seen.one_chat[event.id] = {0, 1} if self.seen.merged and chat < 2 else {chat}

        await self.database.write(work)

    async def merge(self) -> None:
        """The first two chats turn out to be one."""

        def work(transaction: Any) -> None:
            self.merges.note(transaction, BOT, transaction.persons.learn(BOT, BOTH))
            self.seen.merged = True

        await self.database.write(work)

    async def step(self, endpoint: str, what: str, *arguments: Any) -> None:
        if what == "event":
            await self.event(*arguments)
        elif what == "merge":
            await self.merge()
        elif what == "posts":
            until = self.seen.posts + arguments[0]
            for _ in range(20):  # or fewer, when there is nothing to post
                if self.seen.posts < until:
                    await asyncio.sleep(0.001)
        elif what == "replay":
            ids = list(self.seen.chats)
            if ids:
                event = ids[arguments[0] % len(ids)]
                self.seen.replayed[event] += 1
                await DeliveryLog(self.database, self.dispatcher, LIMITS).replay_one(endpoint, event)
        elif what == "pause":
            endpoints = Endpoints(self.database, self.dispatcher.changed, SsrfGuard(LOOPBACK).check)
            await endpoints.pause(endpoint)
            await endpoints.resume(endpoint)
        else:
            self.disk.broken = what == "crash"
            self.seen.crashes += what == "crash"
            await self.stop()
            self.disk.broken = False
            await self.start()

    async def states(self, endpoint: str) -> dict[str, str]:
        found = await self.database.read(lambda sql: sql.delivery_log.page(endpoint, DeliveryFilter(), None, 1000))
        return {one.event: one.state.value for one in found}

    async def until_over(self, endpoint: str) -> None:
        """Wait until every event is delivered or dead; on a loaded disk that takes a while."""
        states: dict[str, str] = {}
        for _ in range(6000):
            states = await self.states(endpoint)
            if len(states) == len(self.seen.chats) and set(states.values()) <= {"delivered", "dead"}:
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"stuck: {states} of {list(self.seen.chats)}, {self.seen.wrong}")


async def play(plan: list[tuple[Any, ...]]) -> None:
    seen = Played()
    with tempfile.TemporaryDirectory() as folder:
        async with raw_receiver(close=False) as hook, Database.open(Path(folder) / "db", KEYS) as database:
            hook.reply = seen.answer
            row = BotRow(BOT, "bot", autostart=True, created_at=timestamps.now())
            await database.write(lambda transaction: transaction.bots.insert(row))
            rig = Rig(database, seen)
            await rig.start()
            endpoints = Endpoints(database, rig.dispatcher.changed, SsrfGuard(LOOPBACK).check)
            endpoint, _ = await endpoints.create(hook.url, events=["message.received"])
            try:
                for written, some_steps in groupby(plan, lambda step: step[0] == "event"):
                    if written:  # in one commit, so that what was first is not over when the next comes
                        await asyncio.gather(*(rig.step(endpoint.id, *step) for step in some_steps))
                    else:
                        for step in some_steps:
                            await rig.step(endpoint.id, *step)
                await rig.until_over(endpoint.id)
            finally:
                await rig.stop()
            assert seen.wrong == []
            seen.check(await rig.states(endpoint.id))


@given(steps)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_in_order_at_least_once_with_one_id_and_never_after_death(plan: list[tuple[Any, ...]]):
    asyncio.run(play(plan))


@given(some, some)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_two_chats_that_become_one_are_in_order_from_then_on(before: list[Any], after: list[Any]):
    asyncio.run(play([*before, ("merge",), *after]))
