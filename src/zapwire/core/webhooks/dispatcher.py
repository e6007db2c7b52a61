"""Webhooks out: one worker for each endpoint that is enabled and not paused, started again when it is changed."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, Self

from aiohttp.abc import AbstractResolver

from zapwire.core.network.ssrf_guard import SsrfGuard
from zapwire.core.person_merges import PersonMerges
from zapwire.core.tuning import Tuning
from zapwire.core.webhooks.attempts import AttemptContext, EndpointDisabled
from zapwire.core.webhooks.concurrency import ConcurrencyLimits
from zapwire.core.webhooks.endpoint_writes import disable
from zapwire.core.webhooks.http_client import HttpClient
from zapwire.core.webhooks.inline_replies import InlineReplies
from zapwire.core.webhooks.outcome import Outcome
from zapwire.core.webhooks.prepared_request import PreparedRequest
from zapwire.core.webhooks.renderers import RENDERERS
from zapwire.core.webhooks.signing import Signer
from zapwire.core.webhooks.worker import DeliveryWorker
from zapwire.model import timestamps
from zapwire.model.bots import NO_BOT, BotId
from zapwire.model.errors import Conflict, NotFound, StoreError, TooMany
from zapwire.model.events import Event, EventType, Payload
from zapwire.model.webhooks import Endpoint
from zapwire.runtime.instruments import Count, Timing
from zapwire.runtime.json_encoder import encode_bytes
from zapwire.runtime.tasks import Tasks
from zapwire.store.ports import Store

log = logging.getLogger(__name__)

_AGAIN = 5.0
_AGAIN_MOST = 60.0
"""Seconds until a worker that failed (database, our own mistake) is started again; doubled each time it does, and back
at the first after one that ran for longer than the most."""
_clock: Final = time.monotonic
_TESTS = 4
"""Tests of one endpoint at the same time."""


class Dispatcher:
    """Delivers events to all endpoints from `start` on, until it is left; an async context manager."""

    def __init__(
        self,
        database: Store,
        replies: InlineReplies,
        limits: Tuning,
        *,
        guard: SsrfGuard,
        chance: random.Random | None = None,
        resolver: AbstractResolver | None = None,
        merges: PersonMerges | None = None,
    ) -> None:
        self._merges = merges or PersonMerges()
        self._merges.follow(self._united)
        self._database = database
        self._replies = replies
        self._limits = limits
        self._guard = guard
        self._resolver = resolver
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self.deliveries = {outcome: Timing() for outcome in ("delivered", "failed")}
        """How long each took, by what came of it."""
        self.given_up = Count()
        """Deliveries that were given up."""
        self._dispatch: dict[str, DeliveryWorker] = {}
        self._nudges: dict[str, asyncio.Event] = {}
        self._newest: dict[str, asyncio.Task[None]] = {}
        self._tasks = Tasks()
        """The newest ones, and those that are just ending."""
        self._tests: Counter[str] = Counter()
        self._stack = AsyncExitStack()
        self._stopping = False
        self._context: AttemptContext

    async def __aenter__(self) -> Self:
        client = await self._stack.enter_async_context(HttpClient(self._guard, self._resolver))
        shares = ConcurrencyLimits(self._limits.webhook_posts)
        shared = (self._database, client, shares, self._replies, self._limits, self._chance, self.deliveries)
        self._context = AttemptContext(*shared, self.given_up, self._merges)
        return self

    async def start(self) -> None:
        """Begin to deliver. Not before the bots are there, as a receiver may answer with a message to send."""
        for endpoint in await self._database.read(lambda unit: unit.endpoints.all_endpoints()):
            self.changed(endpoint.id)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping = True
        for endpoint in list(self._newest):
            self._end_one(endpoint)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.webhook_drain):
                await self._tasks.settled()
        await self._tasks.cancel()
        await self._stack.aclose()

    @property
    def pending(self) -> int:
        """Deliveries under way or not begun, those that failed before left aside."""
        return sum(worker.pending for worker in self._dispatch.values())

    def changed(self, endpoint: str) -> None:
        """Take in that an endpoint was made, changed or deleted; returns at once."""
        before = self._newest.get(endpoint)
        self._end_one(endpoint)
        task = self._tasks.spawn(self._deliver(endpoint, before), f"worker-{endpoint}")
        self._newest[endpoint] = task
        task.add_done_callback(lambda task: self._ended(endpoint, task))

    def replayed(self, endpoint: str, lanes: Iterable[tuple[str, str]]) -> None:
        """Take in that deliveries in these lanes (as they are called, and as they are stored) were queued again."""
        if endpoint in self._dispatch:
            self._dispatch[endpoint].look(lanes)

    async def settle(self, endpoint: str) -> None:
        """Record what was delivered up to now. Raises `StoreError`."""
        if endpoint in self._dispatch:
            await self._dispatch[endpoint].settle()

    async def test(self, endpoint: str) -> tuple[str, Outcome]:
        """Send a `webhook.test` now, whatever state the endpoint is in; returns its id too.

        Raises `NotFound`, and `TooMany` while several tests of it are not answered.
        """
        found, request = await self._look_up(endpoint)
        if found is None:
            raise NotFound("no such webhook", field="webhook")
        if request is None:
            raise Conflict(_damage(found))
        data = Payload(encode_bytes({"webhook": found.id}))
        event = Event(0, f"evt_{secrets.token_hex(12)}", EventType.WEBHOOK_TEST, timestamps.now(), NO_BOT, data)
        if self._tests[endpoint] >= _TESTS:
            raise TooMany("earlier tests of this webhook are not answered yet", retry_after=1)
        self._tests[endpoint] += 1
        try:
            return event.id, await self._context.client.post(request, event, found.timeout)
        finally:
            self._tests[endpoint] -= 1
            self._tests += Counter()  # forgets those at zero

    def _united(self, bot: BotId, gone: str, person: str) -> None:
        for worker in self._dispatch.values():
            worker.united(bot, gone, person)

    def _ended(self, endpoint: str, task: asyncio.Task[None]) -> None:
        if self._newest.get(endpoint) is task:
            del self._newest[endpoint]

    async def _deliver(self, endpoint: str, before: asyncio.Task[None] | None) -> None:
        """Run the endpoint's worker once the one before has ended; again and again should it fail."""
        if before is not None:
            await asyncio.wait([before])
        mine = asyncio.current_task()
        pause = _AGAIN
        while self._newest.get(endpoint) is mine and not self._stopping:
            over, rest, began = False, pause, _clock()
            try:
                found, request = await self._look_up(endpoint)
                if self._newest.get(endpoint) is not mine or self._stopping:
                    return  # there was no worker yet that the change, or the stop, could have ended
                if found is None or not found.enabled or found.paused:
                    return
                if request is None:
                    await self._database.write(partial(disable, endpoint=endpoint, reason=_damage(found)))
                    raise EndpointDisabled(_damage(found))
                over, rest = await self._run(DeliveryWorker(found, request, self._context), endpoint), 0.0
            except* EndpointDisabled as reasons:
                log.warning("webhook %s: disabled, %s", endpoint, reasons.exceptions[0])
                over = True
            except* StoreError as errors:
                log.warning("webhook %s: deliveries wait for the database: %s", endpoint, errors.exceptions[0])
            except* Exception:
                log.exception("webhook %s: deliveries failed with an unexpected error", endpoint)
            if over:
                return
            rest = min(rest, _AGAIN if _clock() - began > _AGAIN_MOST else _AGAIN_MOST)
            await self._rest(endpoint, rest)
            pause = min(max(2 * rest, _AGAIN), max(pause, _AGAIN_MOST))

    async def _rest(self, endpoint: str, seconds: float) -> None:
        """Wait before the next try; the first change of the endpoint, or the stop, ends that."""
        if self._stopping:
            return
        self._nudges[endpoint] = nudge = asyncio.Event()
        try:
            async with asyncio.timeout(seconds):
                await nudge.wait()
        except TimeoutError:
            self._nudges.pop(endpoint, None)  # a change may have come in the same turn

    def _end_one(self, endpoint: str) -> None:
        """Let the endpoint's present worker end, in its own time."""
        if endpoint in self._dispatch:
            self._dispatch[endpoint].stop()
        if endpoint in self._nudges:
            self._nudges.pop(endpoint).set()

    async def _run(self, worker: DeliveryWorker, endpoint: str) -> bool:
        """False: another one has to follow at once."""
        self._dispatch[endpoint] = worker
        try:
            with self._context.shares.member():
                await worker.run()
            return not worker.again
        finally:
            del self._dispatch[endpoint]

    async def _look_up(self, endpoint: str) -> tuple[Endpoint | None, PreparedRequest | None]:
        """The endpoint and what makes its requests; None for the latter when what it needs cannot be read."""
        found = await self._database.read(lambda view: view.endpoints.get(endpoint))
        keys = await self._database.read(lambda view: view.endpoints.keys(endpoint))
        if found is None or keys is None:
            return None, None
        damaged = tuple(one for one in (*found.damaged, *keys.damaged) if one in _MEND)  # without others it works
        render = RENDERERS.get(found.format)
        if damaged or render is None:
            return replace(found, damaged=damaged or ("format",)), None
        return found, PreparedRequest(found.url, Signer(keys), found.headers, render)


_MEND: Final = {
    "url": "set `url` again",
    "events": "set `events` again",
    "bots": "set `bots` again",
    "headers": "set `headers` again",
    "format": "set `format` again",
    "secret": "rotate the secret",
    "private_key": "rotate the secret",
}


def _damage(endpoint: Endpoint) -> str:
    """Why nothing can be delivered, and what to do."""
    ways = ", ".join(dict.fromkeys(_MEND[column] for column in endpoint.damaged))
    return f"its row in the database is damaged: {', '.join(endpoint.damaged)} cannot be read; {ways}, then enable it"
