"""What webhooks were sent: to look at, and to have sent again (with the same ids)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from zapwire.core.limits import Limits
from zapwire.core.parcels import lane_of
from zapwire.core.posting import Outcome
from zapwire.errors import Conflict, InvalidInput, NotFound, StoreError
from zapwire.events import Event
from zapwire.jid import parse_recipient
from zapwire.store import deliveries, delivery_log, journal, persons, webhooks
from zapwire.store.db import Database, Transaction
from zapwire.store.deliveries import Delivery, DeliveryState
from zapwire.store.delivery_log import Wanted
from zapwire.store.values import Connection
from zapwire.store.webhooks import Endpoint

PAGE_LARGEST = 100
_CHUNK = 500
"""Deliveries queued in one write."""


class Couriers(Protocol):
    """The deliverer, as far as this needs it."""

    async def settle(self, endpoint: str) -> None:
        """Record what was delivered up to now."""

    def replayed(self, endpoint: str, lanes: Iterable[tuple[str, str]]) -> None:
        """Take in that deliveries in these lanes (as they are called, and as they are stored) were queued anew."""

    def changed(self, endpoint: str) -> None:
        """Look at everything anew."""

    async def test(self, endpoint: str) -> tuple[str, Outcome]:
        """Send a `webhook.test`."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some deliveries, newest first, and where to read on."""

    deliveries: list[Delivery]
    next_after: int | None
    """None: that was the last."""


@dataclass(frozen=True, slots=True)
class Look:
    """One delivery and the body that is posted; None when the event is no longer kept."""

    delivery: Delivery
    body: Event | str | None


@dataclass(frozen=True, slots=True)
class Queued:
    """How many deliveries were queued anew."""

    count: int = 0
    next_after: int | None = None
    """There are more: go on with this."""
    lanes: set[str] = field(default_factory=set)


class Deliveries:
    """The deliveries of all endpoints."""

    def __init__(self, database: Database, couriers: Couriers, limits: Limits) -> None:
        self._database = database
        self._couriers = couriers
        self._limits = limits
        self._replaying = asyncio.Lock()

    async def page(
        self,
        endpoint: str,
        *,
        state: str | None = None,
        event: str | None = None,
        chat: str | None = None,
        after: int | None = None,
        limit: int = 50,
    ) -> Page:
        """Deliveries of an endpoint, the newest events first; *after* is a `next_after`.

        Raises `NotFound`, `InvalidInput` (state, chat, limit).
        """
        if not 1 <= limit <= PAGE_LARGEST:
            raise InvalidInput(f"a number from 1 to {PAGE_LARGEST}", field="limit")
        wanted = Wanted(state=_state(state), chat=_chat(chat))
        await self._refresh(endpoint)

        def work(sql: Connection) -> list[Delivery]:
            _check(sql, endpoint)
            if event is None:
                return delivery_log.page(sql, endpoint, wanted, after, limit)
            seq = delivery_log.find(sql, endpoint, event)
            found = None if seq is None else delivery_log.get(sql, endpoint, seq, wanted)
            return [] if found is None else [found]

        found = await self._database.read(work)
        return Page(found, found[-1].seq if len(found) == limit and event is None else None)

    async def look(self, endpoint: str, event: str) -> Look:
        """One delivery with its event. Raises `NotFound`."""
        await self._refresh(endpoint)

        def work(sql: Connection) -> Look:
            _check(sql, endpoint)
            seq = delivery_log.find(sql, endpoint, event)
            found = None if seq is None else delivery_log.get(sql, endpoint, seq)
            if found is None:
                raise NotFound("no delivery of such an event to this webhook", field="event")
            return Look(found, journal.by_seq(sql, found.seq) or deliveries.letter(sql, endpoint, found.seq))

        return await self._database.read(work)

    async def test(self, endpoint: str) -> tuple[str, Outcome]:
        """Send a `webhook.test` event now; returns its id and what came of it. Raises `NotFound`."""
        return await self._couriers.test(endpoint)

    async def _refresh(self, endpoint: str) -> None:
        """Record what was delivered up to now; a full disk is no reason to show nothing."""
        with suppress(StoreError):
            await self._couriers.settle(endpoint)

    # -- once more ----------------------------------------------------------------------------------------------

    async def replay_one(self, endpoint: str, event: str) -> Queued:
        """Deliver one event again, or at once if it waits. Raises `NotFound`."""
        await self._couriers.settle(endpoint)

        def work(transaction: Transaction) -> str | None:
            """The lane in which it is replayed; None when it waits anyway."""
            sql = transaction.sql
            found = webhooks.get(sql, endpoint)
            if found is None:
                raise NotFound("no such webhook", field="webhook")
            seq = delivery_log.find(sql, endpoint, event)
            if seq is None:
                return _replay_unknown(transaction, found, event)
            rows, _ = delivery_log.replayable(sql, endpoint, Wanted(), seq - 1, 1)
            if rows and rows[0][0] == seq and delivery_log.replay(transaction, endpoint, [seq]):
                return rows[0][1]
            delivery_log.hurry(transaction, endpoint, seq)
            return None

        lane = await self._database.write(work)
        if lane is None:
            self._couriers.changed(endpoint)
        else:
            self._couriers.replayed(endpoint, await self._present({lane}))
        return Queued(1)

    async def replay(
        self,
        endpoint: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chat: str | None = None,
        dead: bool = False,
        after: int = 0,
    ) -> Queued:
        """Deliver again what was delivered or given up and fits, oldest first; what waits anyway is left alone.

        Queues at most `Limits.replayed_at_once`. Raises `NotFound`, `InvalidInput` (chat, from), and `Conflict` while
        another one is being queued.
        """
        if since is not None and until is not None and since >= until:
            raise InvalidInput("has to be before `to`", field="from")
        wanted = Wanted(DeliveryState.DEAD if dead else None, _chat(chat), since, until)
        if self._replaying.locked():
            raise Conflict("another replay is being queued; try again in a moment")
        async with self._replaying:
            await self._couriers.settle(endpoint)
            await self._database.read(lambda sql: _check(sql, endpoint))
            return await self._queue(endpoint, wanted, after)

    async def _queue(self, endpoint: str, wanted: Wanted, after: int) -> Queued:
        queued = Queued()
        while queued.count < self._limits.replayed_at_once:
            limit = min(_CHUNK, self._limits.replayed_at_once - queued.count)
            look = partial(delivery_log.replayable, endpoint=endpoint, wanted=wanted, after=after, limit=limit)
            rows, further = await self._database.read(look)
            if rows:
                seqs = [seq for seq, _ in rows]
                count = await self._database.write(partial(delivery_log.replay, endpoint=endpoint, seqs=seqs))
                self._couriers.replayed(endpoint, await self._present({lane for _, lane in rows}))
                queued = Queued(queued.count + count)
            if further is None:
                return queued
            after = further
        return replace(queued, next_after=after)

    async def _present(self, keys: Collection[str]) -> list[tuple[str, str]]:
        """What these lanes are called now, beside what they are stored as."""
        return await self._database.read(lambda sql: [(deliveries.present_lane(sql, key), key) for key in keys])


def _replay_unknown(transaction: Transaction, endpoint: Endpoint, event: str) -> str | None:
    """Queue an event of which there is no delivery; None when it is about to be delivered anyway."""
    seq = journal.seq_of(transaction.sql, event)
    found = None if seq is None else journal.by_seq(transaction.sql, seq)
    if found is None:
        raise NotFound("no such event, or it is no longer kept", field="event")
    if found.seq > endpoint.cursor and endpoint.wants(found.type.value, found.bot):
        return None
    lane = lane_of(found)
    delivery_log.insert_replay(transaction, endpoint.id, found, lane)
    return lane


def _check(sql: Connection, endpoint: str) -> None:
    if not webhooks.exists(sql, endpoint):
        raise NotFound("no such webhook", field="webhook")


def _state(text: str | None) -> DeliveryState | None:
    try:
        return None if text is None else DeliveryState(text)
    except ValueError:
        raise InvalidInput(f"one of {', '.join(DeliveryState)}", field="state") from None


def _chat(text: str | None) -> str | None:
    """A chat's id, or its address."""
    if text is None or persons.ID.fullmatch(text):
        return text
    return str(parse_recipient(text, field="chat"))
