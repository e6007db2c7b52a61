"""Handing one event over to its receiver, and all that follows from how that went."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import aiohttp

from zapwire.core import posting, retries
from zapwire.core.catching_up import make_due
from zapwire.core.disabling import disable
from zapwire.core.limits import Limits
from zapwire.core.merges import Merges
from zapwire.core.parcels import Parcel
from zapwire.core.posting import Failure, Outcome, Target
from zapwire.core.reachability import Reachability, Turn
from zapwire.core.replies import Replies
from zapwire.core.shares import Share, Shares
from zapwire.measures import Count, Timing
from zapwire.store import deliveries, journal, times, webhooks
from zapwire.store.db import Database, Transaction
from zapwire.store.deliveries import DeliveryState, Record
from zapwire.store.webhooks import Endpoint, Health

log = logging.getLogger(__name__)

_LONG = timedelta(seconds=10)
"""What waited for so long is looked up again before it is posted."""
_GONE = "it answered 410 Gone"
_LOST = "it has taken nothing for too long"


class EndpointDisabled(Exception):
    """The endpoint wants no more (410), or has failed for too long; it was disabled."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all couriers share."""

    database: Database
    session: aiohttp.ClientSession
    shares: Shares
    """Of the deliveries that are made at the same time."""
    replies: Replies
    limits: Limits
    chance: random.Random
    timings: Mapping[str, Timing]
    """How long each took, by what came of it: `delivered` and `failed`."""
    given_up: Count
    merges: Merges


class Handover:
    """Of one endpoint; *back* is called when its receiver, which took nothing for a while, takes something again."""

    def __init__(self, endpoint: Endpoint, target: Target, means: Means, back: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._target = target
        self._means = means
        self._limits = means.limits
        self._back = back
        self._share = Share(means.shares, endpoint.concurrency)
        self.reach = Reachability(endpoint, means.limits, means.chance)

    async def post(self, parcel: Parcel) -> Outcome | None:
        """Make one attempt, when it is this one's turn; None when nothing is begun any more, or the event is gone.

        Raises `StoreError`, and `EndpointDisabled` when it has been unreachable for too long.
        """
        while (turn := await self.reach.turn(new=parcel.new)) is not Turn.STOPPED:
            try:
                if await self._is_gone(parcel):
                    return None
                async with self._share:
                    if turn is Turn.PROBE or not self.reach.holds(new=parcel.new):
                        return await self._attempt(parcel, probe=turn is Turn.PROBE)
            finally:
                if turn is Turn.PROBE:
                    self.reach.probed()
        return None

    async def _is_gone(self, parcel: Parcel) -> bool:
        """Was the event deleted, with its bot or by its age, while it waited in memory?"""
        if not parcel.new or times.now() - parcel.since < _LONG:
            return False
        return not await self._means.database.read(lambda sql: journal.has(sql, parcel.seq))

    async def _attempt(self, parcel: Parcel, *, probe: bool) -> Outcome:
        seconds = self._endpoint.timeout
        outcome = await posting.post(self._means.session, self._target, parcel.id, parcel.body or "", seconds)
        self._means.timings["delivered" if outcome.error is None else "failed"].add(outcome.duration_ms / 1000)
        if outcome.error is None:
            await self._taken()
            return outcome
        return await self._not_taken(parcel, outcome, probe=probe)

    async def _taken(self) -> None:
        """What follows for the endpoint from a delivery that was taken."""
        was_failing = self.reach.failing_since is not None
        began = self.reach.succeeded()
        if began is not None:
            since = began - timedelta(seconds=self._endpoint.timeout)  # others may have been under way already
            await make_due(self._means.database, self._endpoint.id, since)
            self._back()
        if was_failing:
            await self._means.database.write(partial(webhooks.set_health, endpoint=self._endpoint.id))
            log.info("webhook %s: takes events again", self._endpoint.id)

    async def _not_taken(self, parcel: Parcel, outcome: Outcome, *, probe: bool) -> Outcome:
        """What follows for the endpoint from one that was not."""
        was_unreachable = self.reach.unreachable_since is not None
        if self.reach.failing_since is None:
            log.warning("webhook %s: %s", self._endpoint.id, outcome.error)
        counted = self.reach.failed(outcome, parcel.lane, parcel.seq, probe=probe)
        now_unreachable = self.reach.unreachable_since is not None
        if was_unreachable != now_unreachable:
            log.warning("webhook %s: %s", self._endpoint.id, "unreachable" if now_unreachable else "answers again")
        if not counted and (probe or not was_unreachable):
            await self.store([], outcome)
        return replace(outcome, counted=counted)

    async def delivered(self, parcel: Parcel, outcome: Outcome) -> Record:
        """Do what the answer asks for; returns the record."""
        reply = None
        if self._endpoint.reply and parcel.event is not None:
            reply = await self._means.replies.take(self._endpoint.id, parcel.event, outcome)
        return parcel.record(DeliveryState.DELIVERED, outcome, reply=reply)

    def failed(self, parcel: Parcel, outcome: Outcome) -> Record:
        """The record of one that was not, and when it is tried again."""
        delay = retries.retry_delay(parcel.tries, outcome.retry_after, self._limits, self._means.chance)
        return parcel.record(DeliveryState.FAILED, outcome, due=times.now() + timedelta(seconds=delay))

    async def failed_again(self, parcel: Parcel, outcome: Outcome, before: list[Record]) -> datetime:
        """Store a further failure and the successes *before* it, or give the delivery up; returns when to go on."""
        if self._is_hopeless(parcel, outcome):
            return await self._give_up(parcel, outcome, before)
        if not outcome.counted:
            await self.store(before)
            return times.now()
        failed = self.failed(parcel, outcome)
        await self.store([*before, failed], outcome)
        return failed.due or times.now()

    def _is_hopeless(self, parcel: Parcel, outcome: Outcome) -> bool:
        """Is the delivery given up with this failure?"""
        failure, endpoint = outcome.failure, self._endpoint
        assert failure is not None  # noqa: S101 - only failures come here
        since = max(parcel.since, endpoint.resumed_at or parcel.since)
        waited = retries.has_waited(since, times.now(), endpoint.timeout, self._limits)
        if not outcome.counted:  # without a connection it is not the event's fault, however long it takes
            return waited and failure is Failure.NO_ANSWER
        most = retries.attempts(failure, endpoint, self._limits, alone=self.reach.only_this_event)
        return waited or parcel.tries + 1 >= most

    async def _give_up(self, parcel: Parcel, outcome: Outcome, before: list[Record]) -> datetime:
        await self.store(before, outcome)
        endpoint, dead, body = self._endpoint.id, parcel.record(DeliveryState.DEAD, outcome), parcel.body or ""
        await self._means.database.write(partial(deliveries.bury, endpoint=endpoint, record=dead, body=body))
        self._means.given_up.add()
        log.warning("webhook %s: event %s is given up after %d attempts", endpoint, parcel.id, dead.tries)
        return times.now()

    async def store(self, records: list[Record], failure: Outcome | None = None) -> None:
        """Store *records*; after a *failure* also how the endpoint does. Raises `EndpointDisabled`, `StoreError`."""
        reason, health = (None, None) if failure is None else (self._end(failure), self._health(failure))

        def work(transaction: Transaction) -> None:
            deliveries.store(transaction, self._endpoint.id, records)
            if health is not None:
                webhooks.set_health(transaction, self._endpoint.id, health)
            if reason is not None:
                disable(transaction, self._endpoint.id, reason)

        if records or failure is not None:
            await self._means.database.write(work)
        if reason is not None:
            raise EndpointDisabled(reason)

    def _health(self, failure: Outcome) -> Health | None:
        """How the endpoint does after *failure*; None when something else was taken meanwhile."""
        reach = self.reach
        if reach.failing_since is None:
            return None
        return Health(failure.error, reach.failing_since, reach.unreachable_since, reach.next_try)

    def _end(self, failure: Outcome) -> str | None:
        """Why the endpoint has to be disabled after *failure*, if it has."""
        if failure.gone:
            return _GONE
        since, lasted = self.reach.failing_since, self.reach.lasted
        return _LOST if since is not None and retries.is_lost(since, failure.at, lasted, self._limits) else None
