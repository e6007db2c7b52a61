"""One webhook endpoint: reads the journal from the endpoint's cursor and delivers, in order within each chat.

A *lane* is what has to stay in order: one chat of one bot, or the events about one bot itself. Lanes are independent
and several deliver at once. In a lane:

* An event is posted as soon as it is read, and nothing is written for it: the stored cursor follows a little later.
  After a crash the last moments are delivered again, with the same ids.
* An event that was not taken is *parked*: a row with the time of the next attempt. The lane is then blocked: what comes
  after it is parked behind it, and goes out only after it was taken or given up. So the cursor moves on past a lane
  that is stuck, and no other lane waits for it.
* After the last attempt the event becomes a dead letter. An event that has waited as long as the whole schedule behind
  another one gets one attempt only, or an endpoint that was away would never be caught up with.

The cursor is the low-water mark: everything up to it is delivered, parked, given up, or not for this endpoint.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Never

import aiohttp
from standardwebhooks import Webhook

from zapwire.core import posting
from zapwire.core.limits import Limits
from zapwire.core.posting import Outcome
from zapwire.errors import StoreError
from zapwire.events import Event, EventType
from zapwire.measures import Timing
from zapwire.store import journal, times, webhooks
from zapwire.store.db import Database, Transaction
from zapwire.store.webhooks import Endpoint, Parked

log = logging.getLogger(__name__)
_READ_AT_ONCE = 200


class EndpointGone(Exception):
    """The endpoint answered 410 and was disabled."""


@dataclass(slots=True)
class _Lane:
    name: str
    blocked: bool = False
    fresh: deque[Event] = field(default_factory=deque)
    came: asyncio.Event = field(default_factory=asyncio.Event)


class Courier:
    """Delivers to one endpoint for as long as `run` runs."""

    def __init__(
        self,
        endpoint: Endpoint,
        secret: str,
        database: Database,
        session: aiohttp.ClientSession,
        *,
        limits: Limits,
        chance: random.Random,
        deliveries: Mapping[str, Timing],
    ) -> None:
        self._deliveries = deliveries
        self._endpoint = endpoint
        self._signer = Webhook(secret)
        self._database = database
        self._session = session
        self._limits = limits
        self._chance = chance
        self._lanes: dict[str, _Lane] = {}
        self._pending: dict[int, None] = {}  # in order of seq, as it is filled in that order
        self._room = asyncio.Semaphore(limits.webhook_window)
        self._posts = asyncio.Semaphore(limits.webhook_posts)
        self._read_to = self._saved = endpoint.cursor
        self._moved = asyncio.Event()
        self._failing = endpoint.failing_since is not None

    async def run(self) -> Never:
        """Deliver until cancelled. Raises `EndpointGone`, `StoreError` (in an exception group)."""
        stuck = await self._database.read(lambda sql: webhooks.lanes(sql, self._endpoint.id))
        try:
            async with asyncio.TaskGroup() as group:
                for name in stuck:
                    self._open(group, _Lane(name, blocked=True))
                group.create_task(self._keep_cursor(), name=f"cursor-{self._endpoint.id}")
                await self._read_journal(group)
        finally:
            with suppress(StoreError):
                await self._save_cursor()
        raise AssertionError("unreachable")

    @property
    def pending(self) -> int:
        """Events on their way to the endpoint for the first time, or not read yet."""
        return len(self._pending) + max(0, self._database.tail.last_seq - self._read_to)

    # -- reading ------------------------------------------------------------------------------------------------

    async def _read_journal(self, group: asyncio.TaskGroup) -> Never:
        tail = self._database.tail
        while True:
            wake = tail.wake
            events, read_to = await self._next_events()
            for event in events:
                if self._wants(event):
                    await self._room.acquire()
                    self._pending[event.seq] = None
                    self._read_to = event.seq
                    self._enqueue(group, event)
            if read_to > self._read_to or events:
                self._read_to = max(read_to, self._read_to)
                self._moved.set()
            else:
                await wake.wait()

    async def _next_events(self) -> tuple[list[Event], int]:
        after = self._read_to
        events = self._database.tail.after(after)
        if events is not None:
            return events, events[-1].seq if events else after
        upto = self._database.tail.last_seq
        return await self._database.read(lambda sql: journal.read(sql, after, _READ_AT_ONCE, upto=upto))

    def _wants(self, event: Event) -> bool:
        if event.type is EventType.WEBHOOK_GAP and event.data["webhook"] == self._endpoint.id:
            return True  # what it missed is told to it, whatever else it wants
        return self._endpoint.wants(event.type.value, event.bot)

    def _enqueue(self, group: asyncio.TaskGroup, event: Event) -> None:
        name = lane_of(event)
        lane = self._lanes.get(name)
        if lane is None:
            lane = _Lane(name)
            lane.fresh.append(event)
            self._open(group, lane)
        else:
            lane.fresh.append(event)
            lane.came.set()

    def _open(self, group: asyncio.TaskGroup, lane: _Lane) -> None:
        self._lanes[lane.name] = lane
        group.create_task(self._work(lane), name=f"lane-{self._endpoint.id}")

    # -- the cursor ---------------------------------------------------------------------------------------------

    def _done(self, event: Event) -> None:
        del self._pending[event.seq]
        self._room.release()
        self._moved.set()

    async def _keep_cursor(self) -> Never:
        while True:
            await self._moved.wait()
            await asyncio.sleep(self._limits.cursor_saved)
            self._moved.clear()
            await self._save_cursor()

    async def _save_cursor(self) -> None:
        cursor = next(iter(self._pending)) - 1 if self._pending else self._read_to
        if cursor > self._saved:
            await self._database.write(lambda transaction: webhooks.save_cursor(transaction, self._endpoint.id, cursor))
            self._saved = cursor

    # -- a lane -------------------------------------------------------------------------------------------------

    async def _work(self, lane: _Lane) -> None:
        while lane.blocked or lane.fresh:
            if lane.blocked:
                await self._work_parked(lane)
            else:
                await self._work_fresh(lane)
        del self._lanes[lane.name]  # no await since the check: nothing can have come

    async def _work_fresh(self, lane: _Lane) -> None:
        event = lane.fresh[0]
        outcome = await self._post(event)
        if outcome.error is None:
            lane.fresh.popleft()
            self._done(event)
            return
        failed = self._failed(Parked(event.seq, lane.name, 0, times.now()), outcome)
        lane.blocked = True
        await self._park(lane, failed, outcome)

    async def _work_parked(self, lane: _Lane) -> None:
        """Make the next step in a blocked lane: store what came, or wait, or deliver the first of it."""
        lane.came.clear()
        if lane.fresh:
            await self._park(lane, None, None)
        head = await self._database.read(lambda sql: webhooks.head(sql, self._endpoint.id, lane.name))
        if head is None:
            lane.blocked = False
            return
        delay = (head.due - times.now()).total_seconds()
        if delay > 0:  # a lane in which something always comes must get to its deliveries all the same
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await lane.came.wait()
                    return
        event = await self._database.read(lambda sql: journal.by_seq(sql, head.seq))
        if event is None:  # its bot was deleted
            await self._database.write(lambda transaction: webhooks.unpark(transaction, self._endpoint.id, head.seq))
            return
        await self._repeat(lane, head, event)

    async def _repeat(self, lane: _Lane, head: Parked, event: Event) -> None:
        outcome = await self._post(event)
        endpoint = self._endpoint.id
        if outcome.error is None:
            await self._database.write(lambda transaction: webhooks.unpark(transaction, endpoint, head.seq))
            return
        failed = self._failed(head, outcome)
        if not self._is_hopeless(failed, event.timestamp):
            await self._park(lane, failed, outcome)
            return
        content, error = posting.body(event), outcome.error
        await self._database.write(lambda transaction: webhooks.bury(transaction, endpoint, failed, content, error))
        log.warning("webhook %s: event %s is given up after %d attempts", endpoint, event.id, failed.attempts)

    async def _park(self, lane: _Lane, failed: Parked | None, outcome: Outcome | None) -> None:
        """Store a failed event, and behind it everything that came in its lane."""
        behind, now = list(lane.fresh), times.now()
        rows = [failed] if failed is not None else []
        rows += [Parked(event.seq, lane.name, 0, now) for event in behind if not rows or event.seq != rows[0].seq]

        def work(transaction: Transaction) -> None:
            webhooks.park(transaction, self._endpoint.id, rows)
            if outcome is not None:
                webhooks.set_health(transaction, self._endpoint.id, outcome.error)
                if outcome.gone:
                    webhooks.disable(transaction, self._endpoint.id)

        await self._database.write(work)
        for event in behind:
            lane.fresh.popleft()
            self._done(event)
        if outcome is not None and outcome.gone:
            raise EndpointGone

    # -- deliveries ---------------------------------------------------------------------------------------------

    async def _post(self, event: Event) -> Outcome:
        async with self._posts:
            began = time.monotonic()
            outcome = await posting.post(self._session, self._endpoint.url, self._signer, event)
        self._deliveries["delivered" if outcome.error is None else "failed"].add(time.monotonic() - began)
        if outcome.error is None and self._failing:
            self._failing = False
            await self._database.write(lambda transaction: webhooks.set_health(transaction, self._endpoint.id, None))
        elif outcome.error is not None and not self._failing:
            self._failing = True
            log.warning("webhook %s: %s", self._endpoint.id, outcome.error)
        return outcome

    def _failed(self, parked: Parked, outcome: Outcome) -> Parked:
        delay = retry_delay(parked.attempts, outcome.retry_after, self._limits, self._chance)
        return replace(parked, attempts=parked.attempts + 1, due=times.now() + timedelta(seconds=delay))

    def _is_hopeless(self, parked: Parked, happened: datetime) -> bool:
        schedule = self._limits.webhook_schedule
        return parked.attempts > len(schedule) or times.now() - happened > timedelta(
            seconds=sum(schedule) * (1 + self._limits.jitter) + self._limits.webhook_time * len(schedule)
        )


def lane_of(event: Event) -> str:
    """What has to stay in order with *event*."""
    party = event.data.get("chat") or event.data.get("to")
    if not isinstance(party, dict):
        return event.bot
    return f"{event.bot}/{party.get('phone') or party.get('jid')}"


def retry_delay(attempts: int, retry_after: float | None, limits: Limits, chance: random.Random) -> float:
    """Seconds until the next delivery after *attempts* + 1 failed ones; `Retry-After` can only make it longer."""
    schedule = limits.webhook_schedule
    step = schedule[min(attempts, len(schedule) - 1)] * chance.uniform(1 - limits.jitter, 1 + limits.jitter)
    return step if retry_after is None else max(step, min(retry_after, limits.retry_after_most))
