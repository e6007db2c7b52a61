"""What one worker has under way, and how far it has come: the window, the cursor, and what is written about both.

Nothing is written for a delivery that works at the first attempt before it is over: its record goes into the database
a little later, together with those of the same moment and with the cursor, in one write. After a crash the deliveries
of the last moment are made again, with the same ids, and recorded then.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Never

from zapwire.core.tuning import Tuning
from zapwire.model.deliveries import DeliveryRecord
from zapwire.model.errors import StoreError
from zapwire.model.webhooks import Endpoint
from zapwire.store.ports import Store, UnitOfWork

log = logging.getLogger(__name__)


class Checkpoint:
    """The low-water mark: everything up to the stored cursor is recorded, or none of this endpoint's."""

    def __init__(self, endpoint: Endpoint, database: Store, limits: Tuning) -> None:
        self._endpoint = endpoint.id
        self._database = database
        self._limits = limits
        self._pending: dict[int, None] = {}  # in order of seq, as it is filled in that order
        self._room = asyncio.Semaphore(limits.webhook_window)
        self._records: list[DeliveryRecord] = []
        self._moved = asyncio.Event()
        self._full = asyncio.Event()
        self._saving = asyncio.Lock()
        self._saved = endpoint.cursor
        self.read_to = endpoint.cursor
        """Everything up to here was read from the journal."""

    @property
    def pending(self) -> int:
        """Events under way."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        """Does the next event have to wait for one that is under way?"""
        return self._room.locked()

    async def begin(self, seq: int) -> None:
        """Take an event in, once there is room for it in memory."""
        await self._room.acquire()
        self._pending[seq] = None
        self.read_to = seq

    def passed(self, seq: int) -> None:
        """Everything up to *seq* was read."""
        self.read_to = max(self.read_to, seq)
        self._moved.set()

    def done(self, seq: int, record: DeliveryRecord | None = None) -> None:
        """The event is delivered, as *record* says, or stored as one that waits."""
        del self._pending[seq]
        self._room.release()
        if record is not None:
            self._records.append(record)
            if len(self._records) >= self._limits.webhook_window:
                self._full.set()
        self._moved.set()

    async def keep(self) -> Never:
        """Write what has happened, again and again."""
        while True:
            await self._moved.wait()
            try:
                async with asyncio.timeout(self._limits.cursor_saved):
                    await self._full.wait()
            except TimeoutError:
                pass
            self._moved.clear()
            self._full.clear()
            await self.save()

    async def save(self) -> None:
        """Write what has happened up to now."""
        async with self._saving:
            cursor = next(iter(self._pending)) - 1 if self._pending else self.read_to
            records, self._records = self._records, []
            if cursor <= self._saved and not records:
                return
            try:
                await self._save(cursor, records)
            except BaseException:
                self._records[:0] = records
                raise
            self._saved = cursor

    async def _save(self, cursor: int, records: list[DeliveryRecord]) -> None:
        """Write *records* and the cursor; one that cannot be stored costs only itself. Raises `StoreError`."""
        try:
            await self._database.write(partial(_save, self._endpoint, cursor, records))
        except StoreError:
            raise
        except Exception:  # an internal error: nothing may be delivered again and again for it
            log.exception("webhook %s: a delivery cannot be recorded", self._endpoint)
            for record in records:
                await self._save_alone(record)
            await self._database.write(lambda unit: unit.endpoints.save_cursor(endpoint=self._endpoint, cursor=cursor))

    async def _save_alone(self, record: DeliveryRecord) -> None:
        try:
            await self._database.write(
                lambda unit: unit.delivery_queue.store(endpoint=self._endpoint, records=[record])
            )
        except StoreError:
            raise
        except Exception:
            log.exception("webhook %s: there is no record of %s", self._endpoint, record.event)


def _save(endpoint: str, cursor: int, records: list[DeliveryRecord], transaction: UnitOfWork) -> None:
    transaction.delivery_queue.store(endpoint, records)
    transaction.endpoints.save_cursor(endpoint, cursor)
