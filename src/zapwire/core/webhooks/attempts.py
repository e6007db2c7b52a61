"""Handing one event over to its receiver, and all that follows from how that went."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from zapwire.core.events.serializers import event_bytes
from zapwire.core.person_merges import PersonMerges
from zapwire.core.tuning import Tuning
from zapwire.core.webhooks import retry_policy
from zapwire.core.webhooks.concurrency import ConcurrencyLimit, ConcurrencyLimits
from zapwire.core.webhooks.endpoint_health import ProbeTurn, Reachability
from zapwire.core.webhooks.endpoint_writes import disable, make_due
from zapwire.core.webhooks.http_client import HttpClient
from zapwire.core.webhooks.inline_replies import InlineReplies
from zapwire.core.webhooks.jobs import Job
from zapwire.core.webhooks.outcome import Failure, Outcome
from zapwire.core.webhooks.prepared_request import PreparedRequest
from zapwire.model import timestamps
from zapwire.model.deliveries import DeliveredDelivery, DeliveryRecord, FailedDelivery
from zapwire.model.webhooks import Endpoint, EndpointHealth
from zapwire.runtime.instruments import Count, Timing
from zapwire.store.ports import Store, UnitOfWork

log = logging.getLogger(__name__)

_LONG = timedelta(seconds=10)
"""What waited for so long is looked up again before it is posted."""
_GONE = "it answered 410 Gone"
_LOST = "it has taken nothing for too long"


class EndpointDisabled(Exception):
    """The endpoint wants no more (410), or has failed for too long; it was disabled."""


@dataclass(frozen=True, slots=True)
class AttemptContext:
    """What all workers share."""

    database: Store
    client: HttpClient
    shares: ConcurrencyLimits
    """Of the deliveries that are made at the same time."""
    replies: InlineReplies
    limits: Tuning
    chance: random.Random
    timings: Mapping[str, Timing]
    """How long each took, by what came of it: `delivered` and `failed`."""
    given_up: Count
    merges: PersonMerges


class Attempts:
    """Of one endpoint; *back* is called when its receiver, which took nothing for a while, takes something again."""

    def __init__(
        self, endpoint: Endpoint, request: PreparedRequest, context: AttemptContext, back: Callable[[], None]
    ) -> None:
        self._endpoint = endpoint
        self._request = request
        self._context = context
        self._limits = context.limits
        self._back = back
        self._share = ConcurrencyLimit(context.shares, endpoint.concurrency)
        self.reach = Reachability(endpoint, context.limits, context.chance)

    async def post(self, job: Job) -> Outcome | None:
        """Make one attempt, when it is this one's turn; None when nothing is begun any more, or the event is gone.

        Raises `StoreError`, and `EndpointDisabled` when it has been unreachable for too long.
        """
        while (turn := await self.reach.turn(new=job.new)) is not ProbeTurn.STOPPED:
            try:
                if await self._is_gone(job):
                    return None
                async with self._share:
                    if turn is ProbeTurn.PROBE or not self.reach.holds(new=job.new):
                        return await self._attempt(job, probe=turn is ProbeTurn.PROBE)
            finally:
                if turn is ProbeTurn.PROBE:
                    self.reach.probed()
        return None

    async def _is_gone(self, job: Job) -> bool:
        """Was the event deleted, with its bot or by its age, while it waited in memory?"""
        if not job.new or timestamps.now() - job.since < _LONG:
            return False
        return not await self._context.database.read(lambda view: view.journal.has(job.seq))

    async def _attempt(self, job: Job, *, probe: bool) -> Outcome:
        outcome = await self._context.client.post(self._request, job.event, self._endpoint.timeout)
        self._context.timings["delivered" if outcome.error is None else "failed"].add(outcome.duration_ms / 1000)
        if outcome.error is None:
            await self._taken()
            return outcome
        return await self._not_taken(job, outcome, probe=probe)

    async def _taken(self) -> None:
        """What follows for the endpoint from a delivery that was taken."""
        was_failing = self.reach.failing_since is not None
        began = self.reach.succeeded()
        if began is not None:
            since = began - timedelta(seconds=self._endpoint.timeout)  # others may have been under way already
            await make_due(self._context.database, self._endpoint.id, since)
            self._back()
        if was_failing:
            await self._context.database.write(lambda unit: unit.endpoints.set_health(endpoint=self._endpoint.id))
            log.info("webhook %s: accepts events again", self._endpoint.id)

    async def _not_taken(self, job: Job, outcome: Outcome, *, probe: bool) -> Outcome:
        """What follows for the endpoint from one that was not."""
        was_unreachable = self.reach.unreachable_since is not None
        if self.reach.failing_since is None:
            log.warning("webhook %s: %s", self._endpoint.id, outcome.error)
        counted = self.reach.failed(outcome, job.lane, job.seq, probe=probe)
        now_unreachable = self.reach.unreachable_since is not None
        if was_unreachable != now_unreachable:
            log.warning("webhook %s: %s", self._endpoint.id, "unreachable" if now_unreachable else "answers again")
        if not counted and (probe or not was_unreachable):
            await self.store([], outcome)
        return replace(outcome, counted=counted)

    async def delivered(self, job: Job, outcome: Outcome) -> DeliveredDelivery:
        """Do what the answer asks for; returns the record."""
        reply = None
        if self._endpoint.reply:
            reply = await self._context.replies.take(self._endpoint.id, job.event, outcome)
        return job.delivered(outcome, reply)

    def failed(self, job: Job, outcome: Outcome) -> FailedDelivery:
        """The record of one that was not, and when it is retried."""
        delay = retry_policy.retry_delay(job.tries, outcome.retry_after, self._limits, self._context.chance)
        return job.failed(outcome, timestamps.now() + timedelta(seconds=delay))

    async def failed_again(self, job: Job, outcome: Outcome, before: list[DeliveryRecord]) -> datetime:
        """Store a further failure and the successes *before* it, or give the delivery up; returns when to go on."""
        if self._is_hopeless(job, outcome):
            return await self._give_up(job, outcome, before)
        if not outcome.counted:
            await self.store(before)
            return timestamps.now()
        failed = self.failed(job, outcome)
        await self.store([*before, failed], outcome)
        return failed.due

    def _is_hopeless(self, job: Job, outcome: Outcome) -> bool:
        """Is the delivery given up with this failure?"""
        failure, endpoint = outcome.failure, self._endpoint
        assert failure is not None  # noqa: S101 - only failures come here
        since = max(job.since, endpoint.resumed_at or job.since)
        waited = retry_policy.has_waited(since, timestamps.now(), endpoint.timeout, self._limits)
        if not outcome.counted:  # without a connection it is not the event's fault, however long it takes
            return waited and failure is Failure.NO_ANSWER
        most = retry_policy.attempts(failure, endpoint, self._limits, alone=self.reach.only_this_event)
        return waited or job.tries + 1 >= most

    async def _give_up(self, job: Job, outcome: Outcome, before: list[DeliveryRecord]) -> datetime:
        await self.store(before, outcome)
        endpoint, dead = self._endpoint.id, job.dead(outcome)
        body = event_bytes(job.event).decode()
        await self._context.database.write(
            lambda unit: unit.delivery_queue.bury(endpoint=endpoint, record=dead, body=body)
        )
        self._context.given_up.add()
        log.warning("webhook %s: event %s is given up after %d attempts", endpoint, job.id, dead.tries)
        return timestamps.now()

    async def store(self, records: list[DeliveryRecord], failure: Outcome | None = None) -> None:
        """Store *records*; after a *failure* also how the endpoint does. Raises `EndpointDisabled`, `StoreError`."""
        reason, health = (None, None) if failure is None else (self._end(failure), self._health(failure))

        def work(transaction: UnitOfWork) -> None:
            transaction.delivery_queue.store(self._endpoint.id, records)
            if health is not None:
                transaction.endpoints.set_health(self._endpoint.id, health)
            if reason is not None:
                disable(transaction, self._endpoint.id, reason)

        if records or failure is not None:
            await self._context.database.write(work)
        if reason is not None:
            raise EndpointDisabled(reason)

    def _health(self, failure: Outcome) -> EndpointHealth | None:
        """How the endpoint does after *failure*; None when something else was taken meanwhile."""
        reach = self.reach
        if reach.failing_since is None:
            return None
        return EndpointHealth(failure.error, reach.failing_since, reach.unreachable_since, reach.next_attempt_at)

    def _end(self, failure: Outcome) -> str | None:
        """Why the endpoint has to be disabled after *failure*, if it has."""
        if failure.gone:
            return _GONE
        since, lasted = self.reach.failing_since, self.reach.lasted
        return _LOST if since is not None and retry_policy.is_lost(since, failure.at, lasted, self._limits) else None
