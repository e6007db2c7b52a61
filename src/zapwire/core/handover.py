"""Handing one event over to its receiver, and all that follows from how that went."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import aiohttp

from zapwire.core import posting, retries
from zapwire.core.disabling import disable
from zapwire.core.limits import Limits
from zapwire.core.parcels import Parcel
from zapwire.core.posting import Outcome, Target
from zapwire.core.pulse import Pulse
from zapwire.core.replies import Replies
from zapwire.measures import Timing
from zapwire.store import deliveries, times, webhooks
from zapwire.store.db import Database, Transaction
from zapwire.store.deliveries import DeliveryState, Record
from zapwire.store.webhooks import Endpoint

log = logging.getLogger(__name__)

_GONE = "it answered 410 Gone"
_LOST = "it has taken nothing for too long"


class EndpointDisabled(Exception):
    """The endpoint wants no more (410), or has failed for too long; it was disabled."""


@dataclass(frozen=True, slots=True)
class Means:
    """What all couriers share."""

    database: Database
    session: aiohttp.ClientSession
    posts: asyncio.Semaphore
    """Deliveries to all endpoints at the same time."""
    replies: Replies
    limits: Limits
    chance: random.Random
    timings: Mapping[str, Timing]
    """How long each took, by what came of it: `delivered` and `failed`."""


class Handover:
    """Of one endpoint; *back* is called when its receiver, which was away, is back."""

    def __init__(self, endpoint: Endpoint, target: Target, means: Means, back: Callable[[], None]) -> None:
        self._endpoint = endpoint
        self._target = target
        self._means = means
        self._limits = means.limits
        self._back = back
        self._posts = asyncio.Semaphore(endpoint.concurrency)
        self.pulse = Pulse(means.limits, endpoint.failing_since)

    async def post(self, parcel: Parcel) -> Outcome:
        """Make one attempt, when it is this one's turn."""
        async with self._posts, self._means.posts:
            outcome = await posting.post(
                self._means.session, self._target, parcel.id, parcel.body or "", self._limits.webhook_time
            )
        self._means.timings["delivered" if outcome.error is None else "failed"].add(outcome.duration_ms / 1000)
        return outcome

    async def delivered(self, parcel: Parcel, outcome: Outcome) -> Record:
        """Do what follows from a delivery that was taken. Raises `StoreError`: then it has to be made again."""
        reply = None
        if self._endpoint.reply and parcel.event is not None:
            reply = await self._means.replies.take(self._endpoint.id, parcel.event, outcome)
        was_failing = self.pulse.failing_since is not None
        back = self.pulse.succeeded()
        if back:
            await self._means.database.write(partial(deliveries.make_due, endpoint=self._endpoint.id))
            self._back()
        if was_failing:
            await self._means.database.write(partial(webhooks.set_health, endpoint=self._endpoint.id, error=None))
        return parcel.record(DeliveryState.DELIVERED, outcome, reply=reply)

    def failed(self, parcel: Parcel, outcome: Outcome) -> Record:
        """What follows from one that was not."""
        if self.pulse.failing_since is None:
            log.warning("webhook %s: %s", self._endpoint.id, outcome.error)
        self.pulse.failed(parcel.lane, outcome.at)
        delay = retries.retry_delay(parcel.tries, outcome.retry_after, self._limits, self._means.chance)
        return parcel.record(DeliveryState.FAILED, outcome, due=times.now() + timedelta(seconds=delay))

    async def failed_again(self, parcel: Parcel, outcome: Outcome, before: list[Record]) -> datetime:
        """Store a further failure and the successes *before* it, or give the delivery up; returns when to go on."""
        failed = self.failed(parcel, outcome)
        since = max(parcel.since, self._endpoint.resumed_at or parcel.since)
        if not retries.is_hopeless(failed.tries, since, times.now(), self._limits):
            await self.store([*before, failed], outcome)
            return failed.due or times.now()
        await self.store(before, outcome)
        endpoint, dead, body = self._endpoint.id, parcel.record(DeliveryState.DEAD, outcome), parcel.body or ""
        await self._means.database.write(partial(deliveries.bury, endpoint=endpoint, record=dead, body=body))
        log.warning("webhook %s: event %s is given up after %d attempts", endpoint, parcel.id, failed.tries)
        return times.now()

    async def store(self, records: list[Record], failure: Outcome | None = None) -> None:
        """Store *records*; after a *failure* also how the endpoint does. Raises `EndpointDisabled`, `StoreError`."""
        reason = None if failure is None else self._end(failure)

        def work(transaction: Transaction) -> None:
            deliveries.store(transaction, self._endpoint.id, records)
            if failure is not None:
                webhooks.set_health(transaction, self._endpoint.id, failure.error, failure.at)
            if reason is not None:
                disable(transaction, self._endpoint.id, reason)

        if records or failure is not None:
            await self._means.database.write(work)
        if reason is not None:
            raise EndpointDisabled(reason)

    def _end(self, failure: Outcome) -> str | None:
        """Why the endpoint has to be disabled after *failure*, if it has."""
        if failure.gone:
            return _GONE
        since = self.pulse.failing_since
        return _LOST if since is not None and retries.is_lost(since, failure.at, self._limits) else None
