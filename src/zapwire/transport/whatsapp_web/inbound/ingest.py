"""From the engine's queue to the core: what came in is stored in order, several messages in one commit.

WhatsApp believes a message received before we have stored it (docs/engine.md's E11), so what waits here is lost in a
crash. Storing one at a time costs an fsync each and falls behind a burst; begun in order but awaited together they
share one, and the wait stays short.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from zapwire.model.bots import BotId
from zapwire.model.messages import UndecryptableReason
from zapwire.runtime.file_threads import in_file_thread
from zapwire.runtime.tasks import Tasks
from zapwire.transport.protocol import Emit, Received, Stored, TransportEvent, Withheld
from zapwire.transport.whatsapp_web.inbound import quarantine
from zapwire.transport.whatsapp_web.inbound.decode import of_message
from zapwire.transport.whatsapp_web.inbound.spool import Spool

Raw: TypeAlias = tuple[int, bytes]
"""Event code and protobuf."""

log = logging.getLogger(__name__)

AT_ONCE: Final = 16


class Ingest:
    """Hands one bot's events to *emit*; `close` ends what is under way."""

    def __init__(self, bot: BotId, emit: Emit, spool: Spool | None = None) -> None:
        """What *emit* cannot store is put aside in *spool*."""
        self._bot = bot
        self._emit = emit
        self._spool = spool
        self._room = asyncio.Semaphore(AT_ONCE)
        self._telling = asyncio.Lock()
        self._under_way = Tasks()

    async def store(self, event: Stored, raw: Raw, done: Callable[[bool], None]) -> None:
        """Begin to store *event*, which was read from *raw*; *done* is told at the end whether it has been dealt with,
        False when `close` came before. Returns when the next one may come.
        """
        await self._room.acquire()
        task = self._under_way.spawn(self._store(event, raw), f"storing for {self._bot}")

        def ended(task: asyncio.Task[None]) -> None:
            self._room.release()
            done(not task.cancelled())

        task.add_done_callback(ended)

    async def tell(self, event: TransportEvent) -> None:
        """Emit a change of the connection, behind everything that came before it."""
        await self.settle()
        async with self._telling:
            await self._emit(event)

    async def settle(self) -> None:
        """Wait until all that was begun is stored."""
        await self._under_way.settled()

    async def close(self) -> None:
        """Give up what is not stored yet."""
        await self._under_way.cancel()

    async def _store(self, event: Stored, raw: Raw) -> None:
        try:
            await self._emit(event)
        except Exception as fault:  # noqa: BLE001 - whatever it is, it must not cost those behind it
            await quarantine.keep(self._spool, self._bot, *raw, fault)
        else:
            return
        if not isinstance(event, Received):
            return
        try:
            await self._emit(Withheld(of_message(event.message, UndecryptableReason.INTERNAL_ERROR)))
        except Exception:
            log.exception("bot %s: that a message cannot be stored cannot be stored either", self._bot)


async def read_back(
    spool: Spool, bot: BotId, emit: Emit, read: Callable[[int, bytes], Awaitable[Stored | None]]
) -> None:
    """Store what the last run, or the last process, had written down and not stored when it ended."""
    spool.close()
    for path in spool.left():
        events = await in_file_thread(spool.events, path)
        log.info("bot %s: replaying %d spooled events from the previous run", bot, len(events))
        taking = Ingest(bot, emit, spool)
        try:
            for code, data in events:
                if (event := await read(code, data)) is not None:
                    await taking.store(event, (code, data), lambda _: None)
            await taking.settle()
        finally:
            await taking.close()
        spool.remove(path)
