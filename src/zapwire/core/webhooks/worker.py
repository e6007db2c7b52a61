"""One webhook endpoint: reads the journal from the endpoint's cursor and delivers, in order within each chat.

A *lane* is what has to stay in order: one chat of one bot, or the events about one bot itself. Lanes are independent
and several deliver at once. In a lane:

* An event is posted as soon as it is read, and recorded a little later (`core/webhooks/checkpoint.py`). After a crash
  the last moments are delivered again, with the same ids.
* An event that was not taken is stored as a delivery that waits. What comes after it in its lane is stored behind it,
  and goes out only after it was taken or given up. So the cursor moves on past a lane that is stuck, no other lane
  waits for it, and the lane costs a few bytes until its time has come (`core/webhooks/delay_queue.py`).
* After the last attempt the event becomes a dead letter.

Replays are lanes of their own beside those of new events: in order among themselves, and nothing new waits for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Never

from zapwire.core.webhooks import retry_policy
from zapwire.core.webhooks.attempts import AttemptContext, Attempts
from zapwire.core.webhooks.checkpoint import Checkpoint
from zapwire.core.webhooks.delay_queue import DelayQueue
from zapwire.core.webhooks.jobs import Job, OrderedQueue, QueueState, event_of, is_old
from zapwire.core.webhooks.outcome import Outcome
from zapwire.core.webhooks.prepared_request import PreparedRequest
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.deliveries import DeliveryRecord, StoredQueue
from zapwire.model.errors import StoreError
from zapwire.model.events import Event, EventType, LostEvent
from zapwire.model.webhooks import Endpoint
from zapwire.store.ports import UnitOfWork

_READ_AT_ONCE = 200


class DeliveryWorker:
    """Delivers to one endpoint for as long as `run` runs."""

    def __init__(self, endpoint: Endpoint, request: PreparedRequest, context: AttemptContext) -> None:
        self._endpoint = endpoint
        self._database = context.database
        self._limits = context.limits
        self._checkpoint = Checkpoint(endpoint, context.database, context.limits)
        self._delays = DelayQueue()
        self._attempts_runner = Attempts(endpoint, request, context, self._delays.hurry)
        self._merges = context.merges
        self._lanes: dict[tuple[str, bool], OrderedQueue] = {}
        """Those in which something is going on, by what they are called now and whether they are replays."""
        self._behind: list[tuple[OrderedQueue, Job]] = []
        self._turns = asyncio.Semaphore(endpoint.concurrency)
        """Lanes with stored deliveries that are worked on at the same time."""
        self._known: set[int] = set()
        """Events after the cursor that are recorded already: a crash came before the cursor could follow."""
        self.again = False
        """It stopped because everything has to be looked at again; another one has to follow at once."""
        self._stopped = asyncio.Event()
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Deliver until `stop` or cancelled. Raises `EndpointDisabled`, `StoreError` (in an exception group)."""
        endpoint = self._endpoint
        stored = await self._database.read(lambda view: view.delivery_queue.lanes(endpoint.id))
        self._known = await self._database.read(
            lambda view: view.delivery_queue.recorded_after(endpoint.id, endpoint.cursor)
        )
        try:
            async with self._group:
                self._wait_all(stored)
                steady = [
                    self._start(self._checkpoint.keep()),
                    self._start(self._read()),
                    self._start(self._take_turns()),
                ]
                await self._stopped.wait()
                for task in steady:
                    task.cancel()
        finally:
            with suppress(StoreError):
                await self._checkpoint.save()

    def stop(self) -> None:
        """Begin nothing more; `run` returns once the deliveries under way are over."""
        self._stopped.set()
        self._attempts_runner.reach.stop()

    async def settle(self) -> None:
        """Record what is delivered up to now. Raises `StoreError`."""
        await self._checkpoint.save()

    def look(self, replays: Iterable[tuple[str, str]]) -> None:
        """In these lanes (as they are called, and as they are stored) deliveries were queued again."""
        for name, key in replays:
            lane = self._lane(name, key, replay=True)
            lane.stored += 1
            if lane.state is not QueueState.RETRYING:
                self._wait(lane, timestamps.now())

    def united(self, bot: BotId, gone: str, person: str) -> None:
        """The chats of two ids are one now: what comes belongs behind what is there of both."""
        for replay in (False, True):
            lane = self._lanes.get((f"{bot}/{gone}", replay))
            if lane is None:
                continue
            if (f"{bot}/{person}", replay) in self._lanes:
                # Both are under way. That is rare, and a new start puts what is left of them in order.
                self.again = True
                self.stop()
                return
            del self._lanes[(lane.name, replay)]
            lane.name = f"{bot}/{person}"
            lane.keys.add(lane.name)
            self._lanes[(lane.name, replay)] = lane

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._group.create_task(work, name=f"worker-{self._endpoint.id}")

    @property
    def pending(self) -> int:
        """Events on their way to the endpoint for the first time, or not read yet."""
        return self._checkpoint.pending + max(0, self._database.tail.last_seq - self._checkpoint.read_to)

    # -- reading ------------------------------------------------------------------------------------------------

    async def _read(self) -> Never:
        tail = self._database.tail
        while True:
            wake = tail.wake
            events, read_to = await self._next_events()
            await self._miss([one for one in events if isinstance(one, LostEvent)])
            for event in events:
                if isinstance(event, Event) and self._wants(event):
                    await self._take_in(event)
            await self._store_behind()
            if events or read_to > self._checkpoint.read_to:
                self._checkpoint.passed(read_to)
            else:
                await wake.wait()

    async def _next_events(self) -> tuple[Sequence[Event | LostEvent], int]:
        after = self._checkpoint.read_to
        events = self._database.tail.after(after)
        if events is not None:
            return events, events[-1].seq if events else after
        upto = self._database.tail.last_seq
        return await self._database.read(lambda view: view.journal.read(after, _READ_AT_ONCE, upto=upto))

    async def _miss(self, lost: list[LostEvent]) -> None:
        """Move past events that cannot be read, and tell the endpoint of those that it would have got."""
        missed = [one for one in lost if self._endpoint.wants(one.type, one.bot) and one.seq not in self._known]
        if missed:
            await self._database.write(lambda unit: unit.retention.miss(endpoint=self._endpoint.id, lost=missed))

    def _wants(self, event: Event) -> bool:
        if event.seq in self._known:
            self._known.discard(event.seq)
            return False
        if event.type is EventType.WEBHOOK_GAP and event.data["webhook"] == self._endpoint.id:
            return True  # it is told what it missed, whatever else it wants
        if event.type is EventType.WEBHOOK_DISABLED and event.data["webhook"] == self._endpoint.id:
            return False  # that is for the others
        return self._endpoint.wants(event.type.value, event.bot)

    async def _take_in(self, event: Event) -> None:
        job = Job.fresh(event, timestamps.now())
        if self._checkpoint.full or len(self._behind) >= _READ_AT_ONCE:
            await self._store_behind()
        await self._checkpoint.begin(event.seq)
        name = job.lane
        if is_old(event):
            name = await self._database.read(lambda view: view.delivery_queue.present_lane(job.lane))
        lane = self._lane(name, job.lane)
        if lane.is_stored:
            lane.behind += 1
            self._behind.append((lane, job))
        else:
            lane.fresh.append(job)
            self._set_going(lane)

    async def _store_behind(self) -> None:
        """Store what came in lanes that wait, before it counts as read."""
        behind, self._behind = self._behind, []
        if behind:
            await self._attempts_runner.store([job.pending() for _, job in behind])
        for lane, job in behind:
            lane.behind -= 1
            lane.stored += 1
            self._checkpoint.done(job.seq)

    # -- lanes --------------------------------------------------------------------------------------------------

    def _lane(self, name: str, key: str, replay: bool = False) -> OrderedQueue:
        """The lane of a chat, in which something is stored as *key*."""
        bot, _, chat = name.partition("/")
        name = f"{bot}/{self._merges.now(chat)}" if chat else name
        lane = self._lanes.get((name, replay))
        if lane is None:
            lane = self._lanes[(name, replay)] = OrderedQueue(name, replay)
        lane.keys.add(key)
        return lane

    def _wait_all(self, stored: Iterable[StoredQueue]) -> None:
        """Let every lane that was stored have its turn."""
        first: dict[OrderedQueue, datetime] = {}
        for one in stored:
            lane = self._lane(one.name, one.key, one.replay)
            first[lane] = min(one.due, first.get(lane, one.due))
        for lane, due in first.items():
            self._wait(lane, due)

    def _wait(self, lane: OrderedQueue, due: datetime) -> None:
        """Let *lane* have its turn when its first stored delivery is *due*."""
        lane.state = QueueState.WAITING
        delay = min((due - timestamps.now()).total_seconds(), retry_policy.longest_delay(self._limits))
        lane.due = asyncio.get_running_loop().time() + max(0.0, delay)
        self._delays.put(lane)

    def _set_going(self, lane: OrderedQueue) -> None:
        if lane.state is QueueState.IDLE:
            lane.state = QueueState.POSTING
            self._start(self._post_new(lane))

    async def _take_turns(self) -> Never:
        while True:
            lane = await self._delays.next()
            lane.state = QueueState.RETRYING
            await self._turns.acquire()
            self._start(self._retry(lane))

    async def _post_new(self, lane: OrderedQueue) -> None:
        """Deliver what was just read; what is not taken is stored, with all behind it.

        What did not reach the endpoint at all stays where it is, in memory and in the journal, until it does.
        """
        while lane.fresh and not self._stopped.is_set():
            job = lane.fresh[0]
            outcome = await self._attempts_runner.post(job)
            if outcome is None:
                if self._stopped.is_set():
                    return
                lane.fresh.popleft()
                self._checkpoint.done(job.seq)
            elif outcome.error is None:
                record = await self._attempts_runner.delivered(job, outcome)
                lane.fresh.popleft()
                self._checkpoint.done(job.seq, record)
            elif outcome.counted:
                lane.state = QueueState.RETRYING  # what comes now belongs behind what is about to be stored
                await self._store_failed(lane, job, outcome)
                return
        if not lane.fresh:  # no await since the check: nothing can have come
            del self._lanes[(lane.name, False)]

    async def _store_failed(self, lane: OrderedQueue, job: Job, outcome: Outcome) -> None:
        failed = self._attempts_runner.failed(job, outcome)
        behind = [one for one in lane.fresh if one is not job]
        await self._attempts_runner.store([failed, *(one.pending() for one in behind)], outcome)
        for one in lane.fresh:
            self._checkpoint.done(one.seq)
        lane.fresh.clear()
        self._wait(lane, failed.due)

    async def _retry(self, lane: OrderedQueue) -> None:
        """Deliver a few of what is stored, then let another lane have its turn."""
        try:
            due = await self._next_stored(lane)
        finally:
            self._turns.release()
        if due is not None:
            self._wait(lane, due)
        else:
            del self._lanes[(lane.name, lane.replay)]

    async def _next_stored(self, lane: OrderedQueue) -> datetime | None:
        """Returns when the lane has to have its next turn; None when nothing is left."""
        stored, endpoint, chunk = lane.stored, self._endpoint.id, self._limits.webhook_chunk
        found = await self._database.read(
            lambda unit: unit.delivery_queue.waiting(
                endpoint=endpoint, lanes=tuple(lane.keys), replay=lane.replay, limit=chunk
            )
        )
        if not found:
            return None if lane.behind == 0 and lane.stored == stored else timestamps.now()
        records: list[DeliveryRecord] = []
        for one in found:
            if self._stopped.is_set():
                break
            if one.due > timestamps.now():
                await self._attempts_runner.store(records)
                return one.due
            event = event_of(one)
            if event is None:
                await self._database.write(partial(_miss_waiting, endpoint=endpoint, seq=one.seq))
                continue
            job = Job.again(one, event, lane.name, lane.replay)
            outcome = await self._attempts_runner.post(job)
            if outcome is None:
                break
            if outcome.error is not None:
                return await self._attempts_runner.failed_again(job, outcome, records)
            records.append(await self._attempts_runner.delivered(job, outcome))
        await self._attempts_runner.store(records)
        return timestamps.now()


def _miss_waiting(transaction: UnitOfWork, endpoint: str, seq: int) -> None:
    transaction.retention.miss_waiting(endpoint, seq)
