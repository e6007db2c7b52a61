"""What webhooks were sent: to look at, and to have sent again (with the same ids)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from zapwire.core.tuning import Tuning
from zapwire.core.webhooks.jobs import lane_of
from zapwire.core.webhooks.outcome import Outcome
from zapwire.model.deliveries import Delivery, DeliveryFilter, DeliveryState
from zapwire.model.errors import Conflict, InvalidInput, NotFound, StoreError
from zapwire.model.events import Event
from zapwire.model.jid import PERSON_ID, parse_recipient
from zapwire.model.webhooks import Endpoint
from zapwire.store.ports import Store, UnitOfWork, View

PAGE_LARGEST = 100
_CHUNK = 500
"""Deliveries queued in one write."""


class Dispatch(Protocol):
    """The deliverer, as far as this needs it."""

    async def settle(self, endpoint: str) -> None:
        """Record what was delivered up to now."""

    def replayed(self, endpoint: str, lanes: Iterable[tuple[str, str]]) -> None:
        """Take in that deliveries in these lanes (as they are called, and as they are stored) were queued again."""

    def changed(self, endpoint: str) -> None:
        """Look at everything again."""

    async def test(self, endpoint: str) -> tuple[str, Outcome]:
        """Send a `webhook.test`."""


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries, newest first, and where to read on."""

    deliveries: list[Delivery]
    next_after: int | None
    """None: that was the last."""


@dataclass(frozen=True, slots=True)
class DeliveryDetails:
    """One delivery and the body that is posted; None when the event is no longer kept."""

    delivery: Delivery
    body: Event | str | None


@dataclass(frozen=True, slots=True)
class QueuedReplays:
    """How many deliveries were queued again."""

    count: int = 0
    next_after: int | None = None
    """There are more: go on with this."""
    lanes: set[str] = field(default_factory=set)


class DeliveryLog:
    """The deliveries of all endpoints."""

    def __init__(self, database: Store, dispatch: Dispatch, limits: Tuning) -> None:
        self._database = database
        self._dispatch = dispatch
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
    ) -> DeliveryPage:
        """Deliveries of an endpoint, the newest events first; *after* is a `next_after`.

        Raises `NotFound`, `InvalidInput` (state, chat, limit).
        """
        if not 1 <= limit <= PAGE_LARGEST:
            raise InvalidInput(f"a number from 1 to {PAGE_LARGEST}", field="limit")
        wanted = DeliveryFilter(state=_state(state), chat=_chat(chat))
        await self._refresh(endpoint)

        def work(view: View) -> list[Delivery]:
            _check(view, endpoint)
            if event is None:
                return view.delivery_log.page(endpoint, wanted, after, limit)
            seq = view.delivery_log.find(endpoint, event)
            found = None if seq is None else view.delivery_log.get(endpoint, seq, wanted)
            return [] if found is None else [found]

        found = await self._database.read(work)
        return DeliveryPage(found, found[-1].seq if len(found) == limit and event is None else None)

    async def look(self, endpoint: str, event: str) -> DeliveryDetails:
        """One delivery with its event. Raises `NotFound`."""
        await self._refresh(endpoint)

        def work(view: View) -> DeliveryDetails:
            _check(view, endpoint)
            seq = view.delivery_log.find(endpoint, event)
            found = None if seq is None else view.delivery_log.get(endpoint, seq)
            if found is None:
                raise NotFound("no delivery of such an event to this webhook", field="event")
            return DeliveryDetails(
                found, view.journal.by_seq(found.seq) or view.delivery_queue.letter(endpoint, found.seq)
            )

        return await self._database.read(work)

    async def test(self, endpoint: str) -> tuple[str, Outcome]:
        """Send a `webhook.test` event now; returns its id and what came of it. Raises `NotFound`."""
        return await self._dispatch.test(endpoint)

    async def _refresh(self, endpoint: str) -> None:
        """Record what was delivered up to now; a full disk is no reason to show nothing."""
        with suppress(StoreError):
            await self._dispatch.settle(endpoint)

    # -- once more ----------------------------------------------------------------------------------------------

    async def replay_one(self, endpoint: str, event: str) -> QueuedReplays:
        """Deliver one event again, or at once if it waits. Raises `NotFound`."""
        await self._dispatch.settle(endpoint)

        def work(transaction: UnitOfWork) -> str | None:
            """The lane in which it is replayed; None when it waits anyway."""
            found = transaction.endpoints.get(endpoint)
            if found is None:
                raise NotFound("no such webhook", field="webhook")
            seq = transaction.delivery_log.find(endpoint, event)
            if seq is None:
                return _replay_unknown(transaction, found, event)
            rows, _ = transaction.delivery_log.replayable(endpoint, DeliveryFilter(), seq - 1, 1)
            if rows and rows[0][0] == seq and transaction.delivery_log.replay(endpoint, [seq]):
                return rows[0][1]
            transaction.delivery_log.hurry(endpoint, seq)
            return None

        lane = await self._database.write(work)
        if lane is None:
            self._dispatch.changed(endpoint)
        else:
            self._dispatch.replayed(endpoint, await self._present({lane}))
        return QueuedReplays(1)

    async def replay(
        self,
        endpoint: str,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        chat: str | None = None,
        dead: bool = False,
        after: int = 0,
    ) -> QueuedReplays:
        """Deliver again what was delivered or given up and fits, oldest first; what waits anyway is left alone.

        Queues at most `Tuning.replayed_at_once`. Raises `NotFound`, `InvalidInput` (chat, from), and `Conflict` while
        another one is being queued.
        """
        if since is not None and until is not None and since >= until:
            raise InvalidInput("has to be before `to`", field="from")
        wanted = DeliveryFilter(DeliveryState.DEAD if dead else None, _chat(chat), since, until)
        if self._replaying.locked():
            raise Conflict("another replay is being queued; try again in a moment")
        async with self._replaying:
            await self._dispatch.settle(endpoint)
            await self._database.read(lambda view: _check(view, endpoint))
            return await self._queue(endpoint, wanted, after)

    async def _queue(self, endpoint: str, wanted: DeliveryFilter, after: int) -> QueuedReplays:
        queued = QueuedReplays()
        while queued.count < self._limits.replayed_at_once:
            limit = min(_CHUNK, self._limits.replayed_at_once - queued.count)
            look = partial(_replayable, endpoint=endpoint, wanted=wanted, after=after, limit=limit)
            rows, further = await self._database.read(look)
            if rows:
                seqs = [seq for seq, _ in rows]
                count = await self._database.write(partial(_replay, endpoint=endpoint, seqs=seqs))
                self._dispatch.replayed(endpoint, await self._present({lane for _, lane in rows}))
                queued = QueuedReplays(queued.count + count)
            if further is None:
                return queued
            after = further
        return replace(queued, next_after=after)

    async def _present(self, keys: Collection[str]) -> list[tuple[str, str]]:
        """What these lanes are called now, beside what they are stored as."""
        return await self._database.read(lambda view: [(view.delivery_queue.present_lane(key), key) for key in keys])


def _replay_unknown(transaction: UnitOfWork, endpoint: Endpoint, event: str) -> str | None:
    """Queue an event of which there is no delivery; None when it is about to be delivered anyway."""
    seq = transaction.journal.seq_of(event)
    found = None if seq is None else transaction.journal.by_seq(seq)
    if found is None:
        raise NotFound("no such event, or it is no longer kept", field="event")
    if found.seq > endpoint.cursor and endpoint.wants(found.type.value, found.bot):
        return None
    lane = lane_of(found)
    transaction.delivery_log.insert_replay(endpoint.id, found, lane)
    return lane


def _check(view: View, endpoint: str) -> None:
    if not view.endpoints.exists(endpoint):
        raise NotFound("no such webhook", field="webhook")


def _state(text: str | None) -> DeliveryState | None:
    try:
        return None if text is None else DeliveryState(text)
    except ValueError:
        raise InvalidInput(f"one of {', '.join(DeliveryState)}", field="state") from None


def _chat(text: str | None) -> str | None:
    """A chat's id, or its address."""
    if text is None or PERSON_ID.fullmatch(text):
        return text
    return str(parse_recipient(text, field="chat"))


def _replayable(
    view: View, endpoint: str, wanted: DeliveryFilter, after: int, limit: int
) -> tuple[list[tuple[int, str]], int | None]:
    return view.delivery_log.replayable(endpoint, wanted, after, limit)


def _replay(transaction: UnitOfWork, endpoint: str, seqs: Sequence[int]) -> int:
    return transaction.delivery_log.replay(endpoint, seqs)
