"""One webhook endpoint: reads the journal from the endpoint's cursor and delivers, in order within each chat.

A *lane* is what has to stay in order: one chat of one bot, or the events about one bot itself. Lanes are independent
and several deliver at once. In a lane:

* An event is posted as soon as it is read, and recorded a little later (`core/recorder.py`). After a crash the last
  moments are delivered again, with the same ids.
* An event that was not taken is stored as a delivery that waits. What comes after it in its lane is stored behind it,
  and goes out only after it was taken or given up. So the cursor moves on past a lane that is stuck, no other lane
  waits for it, and the lane costs a few bytes until its time has come (`core/agenda.py`).
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

from zapwire.core import retries
from zapwire.core.agenda import Agenda
from zapwire.core.handover import Handover, Means
from zapwire.core.parcels import Lane, LaneState, Parcel, is_old
from zapwire.core.posting import Outcome, Target
from zapwire.core.recorder import Recorder
from zapwire.errors import StoreError
from zapwire.events import Event, EventType
from zapwire.model import BotId
from zapwire.store import deliveries, journal, retention, times
from zapwire.store.deliveries import DeliveryState, Record, StoredLane
from zapwire.store.journal import Lost
from zapwire.store.webhooks import Endpoint

_READ_AT_ONCE = 200


class Courier:
    """Delivers to one endpoint for as long as `run` runs."""

    def __init__(self, endpoint: Endpoint, target: Target, means: Means) -> None:
        self._endpoint = endpoint
        self._database = means.database
        self._limits = means.limits
        self._recorder = Recorder(endpoint, means.database, means.limits)
        self._agenda = Agenda()
        self._handover = Handover(endpoint, target, means, self._agenda.hurry)
        self._merges = means.merges
        self._lanes: dict[tuple[str, bool], Lane] = {}
        """Those in which something is going on, by what they are called now and whether they are replays."""
        self._behind: list[tuple[Lane, Parcel]] = []
        self._turns = asyncio.Semaphore(endpoint.concurrency)
        """Lanes with stored deliveries that are worked on at the same time."""
        self._known: set[int] = set()
        """Events after the cursor that are recorded already: a crash came before the cursor could follow."""
        self.again = False
        """It stopped because everything has to be looked at anew; another one has to follow at once."""
        self._stopped = asyncio.Event()
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Deliver until `stop` or cancelled. Raises `EndpointDisabled`, `StoreError` (in an exception group)."""
        endpoint = self._endpoint
        stored = await self._database.read(lambda sql: deliveries.lanes(sql, endpoint.id))
        self._known = await self._database.read(
            lambda sql: deliveries.recorded_after(sql, endpoint.id, endpoint.cursor)
        )
        try:
            async with self._group:
                self._wait_all(stored)
                steady = [
                    self._start(self._recorder.keep()),
                    self._start(self._read()),
                    self._start(self._take_turns()),
                ]
                await self._stopped.wait()
                for task in steady:
                    task.cancel()
        finally:
            with suppress(StoreError):
                await self._recorder.save()

    def stop(self) -> None:
        """Begin nothing more; `run` returns once the deliveries under way are over."""
        self._stopped.set()
        self._handover.reach.stop()

    async def settle(self) -> None:
        """Record what is delivered up to now. Raises `StoreError`."""
        await self._recorder.save()

    def look(self, replays: Iterable[tuple[str, str]]) -> None:
        """In these lanes (as they are called, and as they are stored) deliveries were queued anew."""
        for name, key in replays:
            lane = self._lane(name, key, replay=True)
            lane.stored += 1
            if lane.state is not LaneState.RETRYING:
                self._wait(lane, times.now())

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
        return self._group.create_task(work, name=f"courier-{self._endpoint.id}")

    @property
    def pending(self) -> int:
        """Events on their way to the endpoint for the first time, or not read yet."""
        return self._recorder.pending + max(0, self._database.tail.last_seq - self._recorder.read_to)

    # -- reading ------------------------------------------------------------------------------------------------

    async def _read(self) -> Never:
        tail = self._database.tail
        while True:
            wake = tail.wake
            events, read_to = await self._next_events()
            await self._miss([one for one in events if isinstance(one, Lost)])
            for event in events:
                if isinstance(event, Event) and self._wants(event):
                    await self._take_in(event)
            await self._store_behind()
            if events or read_to > self._recorder.read_to:
                self._recorder.passed(read_to)
            else:
                await wake.wait()

    async def _next_events(self) -> tuple[Sequence[Event | Lost], int]:
        after = self._recorder.read_to
        events = self._database.tail.after(after)
        if events is not None:
            return events, events[-1].seq if events else after
        upto = self._database.tail.last_seq
        return await self._database.read(lambda sql: journal.read(sql, after, _READ_AT_ONCE, upto=upto))

    async def _miss(self, lost: list[Lost]) -> None:
        """Move past events that cannot be read, and tell the endpoint of those that it would have got."""
        missed = [one for one in lost if self._endpoint.wants(one.type, one.bot) and one.seq not in self._known]
        if missed:
            await self._database.write(partial(retention.miss, endpoint=self._endpoint.id, lost=missed))

    def _wants(self, event: Event) -> bool:
        if event.seq in self._known:
            self._known.discard(event.seq)
            return False
        if event.type is EventType.WEBHOOK_GAP and event.data["webhook"] == self._endpoint.id:
            return True  # what it missed is told to it, whatever else it wants
        if event.type is EventType.WEBHOOK_DISABLED and event.data["webhook"] == self._endpoint.id:
            return False  # that is for the others
        return self._endpoint.wants(event.type.value, event.bot)

    async def _take_in(self, event: Event) -> None:
        parcel = Parcel.fresh(event, times.now())
        if self._recorder.full or len(self._behind) >= _READ_AT_ONCE:
            await self._store_behind()
        await self._recorder.begin(event.seq)
        name = parcel.lane
        if is_old(event):
            name = await self._database.read(lambda sql: deliveries.present_lane(sql, parcel.lane))
        lane = self._lane(name, parcel.lane)
        if lane.is_stored:
            lane.behind += 1
            self._behind.append((lane, parcel))
        else:
            lane.fresh.append(parcel)
            self._set_going(lane)

    async def _store_behind(self) -> None:
        """Store what came in lanes that wait, before it counts as read."""
        behind, self._behind = self._behind, []
        if behind:
            await self._handover.store([parcel.record(DeliveryState.PENDING) for _, parcel in behind])
        for lane, parcel in behind:
            lane.behind -= 1
            lane.stored += 1
            self._recorder.done(parcel.seq)

    # -- lanes --------------------------------------------------------------------------------------------------

    def _lane(self, name: str, key: str, replay: bool = False) -> Lane:
        """The lane of a chat, in which something is stored as *key*."""
        bot, _, chat = name.partition("/")
        name = f"{bot}/{self._merges.now(chat)}" if chat else name
        lane = self._lanes.get((name, replay))
        if lane is None:
            lane = self._lanes[(name, replay)] = Lane(name, replay)
        lane.keys.add(key)
        return lane

    def _wait_all(self, stored: Iterable[StoredLane]) -> None:
        """Let every lane that was stored have its turn."""
        first: dict[Lane, datetime] = {}
        for one in stored:
            lane = self._lane(one.name, one.key, one.replay)
            first[lane] = min(one.due, first.get(lane, one.due))
        for lane, due in first.items():
            self._wait(lane, due)

    def _wait(self, lane: Lane, due: datetime) -> None:
        """Let *lane* have its turn when its first stored delivery is *due*."""
        lane.state = LaneState.WAITING
        delay = min((due - times.now()).total_seconds(), retries.longest_delay(self._limits))
        lane.due = asyncio.get_running_loop().time() + max(0.0, delay)
        self._agenda.put(lane)

    def _set_going(self, lane: Lane) -> None:
        if lane.state is LaneState.IDLE:
            lane.state = LaneState.POSTING
            self._start(self._post_new(lane))

    async def _take_turns(self) -> Never:
        while True:
            lane = await self._agenda.next()
            lane.state = LaneState.RETRYING
            await self._turns.acquire()
            self._start(self._retry(lane))

    async def _post_new(self, lane: Lane) -> None:
        """Deliver what was just read; what is not taken is stored, with all behind it.

        What did not reach the endpoint at all stays where it is, in memory and in the journal, until it does.
        """
        while lane.fresh and not self._stopped.is_set():
            parcel = lane.fresh[0]
            outcome = await self._handover.post(parcel)
            if outcome is None:
                if self._stopped.is_set():
                    return
                lane.fresh.popleft()
                self._recorder.done(parcel.seq)
            elif outcome.error is None:
                record = await self._handover.delivered(parcel, outcome)
                lane.fresh.popleft()
                self._recorder.done(parcel.seq, record)
            elif outcome.counted:
                lane.state = LaneState.RETRYING  # what comes now belongs behind what is about to be stored
                await self._store_failed(lane, parcel, outcome)
                return
        if not lane.fresh:  # no await since the check: nothing can have come
            del self._lanes[(lane.name, False)]

    async def _store_failed(self, lane: Lane, parcel: Parcel, outcome: Outcome) -> None:
        failed = self._handover.failed(parcel, outcome)
        behind = [one for one in lane.fresh if one is not parcel]
        await self._handover.store([failed, *(one.record(DeliveryState.PENDING) for one in behind)], outcome)
        for one in lane.fresh:
            self._recorder.done(one.seq)
        lane.fresh.clear()
        self._wait(lane, failed.due or times.now())

    async def _retry(self, lane: Lane) -> None:
        """Deliver a few of what is stored, then let another lane have its turn."""
        try:
            due = await self._next_stored(lane)
        finally:
            self._turns.release()
        if due is not None:
            self._wait(lane, due)
        else:
            del self._lanes[(lane.name, lane.replay)]

    async def _next_stored(self, lane: Lane) -> datetime | None:
        """Returns when the lane has to have its next turn; None when nothing is left."""
        stored, endpoint, chunk = lane.stored, self._endpoint.id, self._limits.webhook_chunk
        found = await self._database.read(
            partial(deliveries.waiting, endpoint=endpoint, lanes=tuple(lane.keys), replay=lane.replay, limit=chunk)
        )
        if not found:
            return None if lane.behind == 0 and lane.stored == stored else times.now()
        records: list[Record] = []
        for one in found:
            if self._stopped.is_set():
                break
            if one.due > times.now():
                await self._handover.store(records)
                return one.due
            parcel = Parcel.again(one, lane.name, lane.replay)
            if parcel.body is None:
                await self._database.write(partial(retention.miss_waiting, endpoint=endpoint, seq=parcel.seq))
                continue
            outcome = await self._handover.post(parcel)
            if outcome is None:
                break
            if outcome.error is not None:
                return await self._handover.failed_again(parcel, outcome, records)
            records.append(await self._handover.delivered(parcel, outcome))
        await self._handover.store(records)
        return times.now()
