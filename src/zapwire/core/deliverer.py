"""Webhooks out: one courier for each enabled endpoint, started anew when its endpoint is changed."""

from __future__ import annotations

import asyncio
import logging
import random
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import aiohttp

from zapwire.core.courier import Courier, EndpointGone
from zapwire.core.limits import Limits
from zapwire.errors import StoreError
from zapwire.measures import Timing
from zapwire.store import webhooks
from zapwire.store.db import Database

log = logging.getLogger(__name__)

_CONNECTIONS = 100
"""Open connections to all endpoints together."""
_AGAIN = 5.0
"""Seconds until a courier that failed (database, our own mistake) is started again."""


class Deliverer:
    """Delivers events to all endpoints while it is entered; an async context manager."""

    def __init__(self, database: Database, limits: Limits, chance: random.Random | None = None) -> None:
        self._database = database
        self._limits = limits
        self._chance = chance or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self.deliveries = {outcome: Timing() for outcome in ("delivered", "failed")}
        """How long each took, by what came of it."""
        self._working: dict[str, Courier] = {}
        self._couriers: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        """The couriers, and those that are just ending."""
        self._stack = AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=self._limits.webhook_time),
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        )
        for endpoint in await self._database.read(webhooks.all_endpoints):
            self.changed(endpoint.id)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._stack.aclose()

    @property
    def pending(self) -> int:
        """Deliveries under way or not begun, those that failed before left aside."""
        return sum(courier.pending for courier in self._working.values())

    def changed(self, endpoint: str) -> None:
        """Take in that an endpoint was made, changed or deleted; returns at once."""
        before = self._couriers.get(endpoint)
        if before is not None:
            before.cancel()
        task = asyncio.create_task(self._deliver(endpoint, before), name=f"courier-{endpoint}")
        self._couriers[endpoint] = task
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(endpoint, task))

    def _ended(self, endpoint: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._couriers.get(endpoint) is task:
            del self._couriers[endpoint]

    async def _deliver(self, endpoint: str, before: asyncio.Task[None] | None) -> None:
        """Run the endpoint's courier once the one before has ended; again and again should it fail."""
        if before is not None:
            await asyncio.wait([before])
        while True:
            try:
                courier = await self._make(endpoint)
                if courier is None:
                    return
                self._working[endpoint] = courier
                await courier.run()
            except* EndpointGone:
                log.warning("webhook %s: answered 410 and is disabled", endpoint)
                over = True
            except* StoreError as errors:
                log.warning("webhook %s: deliveries wait for the database: %s", endpoint, errors.exceptions[0])
                over = False
            except* Exception:
                log.exception("webhook %s: deliveries failed in a way nobody expected", endpoint)
                over = False
            finally:
                self._working.pop(endpoint, None)
            if over:
                return
            await asyncio.sleep(_AGAIN)

    async def _make(self, endpoint: str) -> Courier | None:
        found = await self._database.read(lambda sql: webhooks.get(sql, endpoint))
        secret = await self._database.read(lambda sql: webhooks.secret(sql, endpoint))
        if found is None or secret is None or not found.enabled:
            return None
        return Courier(
            found,
            secret,
            self._database,
            self._session,
            limits=self._limits,
            chance=self._chance,
            deliveries=self.deliveries,
        )
