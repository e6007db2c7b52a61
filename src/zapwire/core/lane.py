"""One bot's way out: which of its waiting messages goes next, and what becomes of it.

The rows are in the outbox; here is only their order. Within a chat one message is under way at a time, so order holds
even when one has to be tried again; several chats are sent to at once. Nothing is sent while the bot is offline.
A message is marked `sending` in the database before it is handed over, so that after a crash it is known which ones
nobody can answer for.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from zapwire.core.ledger import Done, Ledger
from zapwire.core.limits import Limits
from zapwire.core.pacing import Pacing, addresses_of
from zapwire.core.radar import Radar
from zapwire.errors import NotConnected, Refused, Restricted, StoreError, TransportError
from zapwire.model import BotId, MessageState, Outgoing, Party
from zapwire.store import messages, outbox, times
from zapwire.store.db import Database
from zapwire.store.outbox import Waiting
from zapwire.transport.base import Transport

log = logging.getLogger(__name__)

_SWEEP = 60.0
"""Seconds between two looks for messages that waited too long while the bot is offline."""
_AGAIN = 1.0
"""Seconds until the next try when the transport had no connection although the bot counts as connected."""

UNLINKED = "the bot was logged out before it was sent"
"""Why messages fail that were meant for an account the bot no longer has."""


class Lane:
    """The waiting messages of one bot. Everything but the sends themselves happens without waiting, on the loop."""

    def __init__(
        self, bot: BotId, transport: Transport, database: Database, *, limits: Limits, radar: Radar, done: Done
    ) -> None:
        self._bot = bot
        self._transport = transport
        self._database = database
        self._limits = limits
        self._ledger = Ledger(bot, database, limits, done)
        self._radar = radar
        self._pacing = Pacing(limits)
        self._chats: dict[str, deque[Waiting]] = {}
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._records: set[asyncio.Task[None]] = set()
        self._online = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.transport = transport
        self.waiting = 0
        """Messages queued here or on their way into the queue."""
        self.account = 0
        """Counts the accounts the bot had; no message goes out through another one than it was meant for."""

    def go(self, *, online: bool) -> None:
        """Start or stop sending."""
        if online is not self._online:
            self._online = online
            self._pump()

    def abandon(self) -> None:
        """The account is gone: let go of what waits for it, which is failed in the database already."""
        self.account += 1
        self._radar.forget()
        self.waiting -= sum(len(queue) for queue in self._chats.values())
        self._chats.clear()

    def heard(self, chat: Party) -> None:
        """Note a message from *chat*, which paces messages to it."""
        self._pacing.heard(chat, self._loop.time())

    def wrote(self, chat: Party) -> None:
        """*chat* has written, which is stored: what was held back as a first message to it need not wait."""
        if self._radar.asks_who():
            for name in addresses_of(chat):
                for message in self._chats.get(name, ()):
                    message.ready = 0.0
            self._pump()

    def put(self, message: Waiting, *, front: bool = False) -> None:
        """Add a queued message, to the end of its chat or (when it comes back) to the front."""
        now = self._loop.time()
        message.since = message.since or now
        message.ready = now + (message.due - times.now()).total_seconds()
        queue = self._chats.setdefault(message.chat, deque())
        if front:
            queue.appendleft(message)
        else:
            queue.append(message)
        self.waiting += 1
        if self._online or self._timer is None:
            self._pump()

    def reserve(self, chat: str) -> bool:
        """Take the way to *chat* if a message could be sent there right now; then `send` or `release` must follow."""
        now = self._loop.time()
        free = (
            self._online
            and not self._closed
            and self._radar.restriction is None
            and chat not in self._chats
            and chat not in self._busy
            and len(self._busy) < self._limits.sends_at_once
            and self._pacing.ready(chat, now, now) <= now
        )
        if free:
            self._busy.add(chat)
        return free

    def release(self, chat: str) -> None:
        """Give a reserved way back unused."""
        self._busy.discard(chat)
        self._pump()

    def send(self, message: Waiting, content: Outgoing) -> None:
        """Send a message that is stored as `sending`, on its reserved way."""
        self._spawn(message.chat, self._hand_over(message, content))

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and give what is under way *seconds* to end."""
        self._closed = self._ledger.closing = True
        if self._timer is not None:
            self._timer.cancel()
        until = self._loop.time() + seconds
        while (under_way := self._tasks | self._records) and self._loop.time() < until:
            await asyncio.wait(under_way, timeout=until - self._loop.time())

    async def close(self) -> None:
        """End everything at once; what is under way stays `sending` in the database, what is known is written."""
        await self.drain(0)
        for task in self._tasks:
            task.cancel()
        while under_way := self._tasks | self._records:
            await asyncio.wait(under_way)

    def _pump(self) -> None:
        """Begin what may begin, and look again when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed or not self._chats:
            return
        now = self._loop.time()
        soonest = now + _SWEEP
        for chat in list(self._chats):
            if len(self._busy) >= self._limits.sends_at_once:
                return  # the end of any of them calls this again
            if chat not in self._busy:
                soonest = min(soonest, self._begin(chat, now))
        self._timer = self._loop.call_at(soonest, self._pump)

    def _begin(self, chat: str, now: float) -> float:
        """Begin the first message of *chat* if it is time; returns when to look again."""
        message = self._chats[chat][0]
        if message.deadline <= times.now():
            self._start(chat, self._expire(message))
            return now + _SWEEP
        if message.account != self.account:
            self._start(chat, self._ledger.end(message.id, MessageState.FAILED, UNLINKED))
            return now + _SWEEP
        if not self._online:
            return now + _SWEEP
        ready = max(message.ready, self._pacing.ready(chat, message.since, now))
        if ready > now:
            return ready
        self._start(chat, self._take(message))
        return now + _SWEEP

    def _start(self, chat: str, step: Coroutine[Any, Any, None]) -> None:
        queue = self._chats.pop(chat)
        queue.popleft()
        self.waiting -= 1
        if queue:
            self._chats[chat] = queue  # now the last: chats take turns
        self._busy.add(chat)
        self._spawn(chat, step)

    def _spawn(self, chat: str, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step, name=f"send-{self._bot}")
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and task.exception() is not None:
                log.error("bot %s: a message is left behind: %s", self._bot, task.exception())
            self.release(chat)

        task.add_done_callback(ended)

    async def _expire(self, message: Waiting) -> None:
        hours = self._limits.send_lifetime / 3600
        why = f"the bot was not connected within {hours:g} hours"
        if self._online and (limit := self._radar.restriction) is not None:
            why = f"{limit.reason}, and did not for {hours:g} hours"
        await self._ledger.end(message.id, MessageState.FAILED, why)

    async def _take(self, message: Waiting) -> None:
        message.known = not self._radar.asks_who() or await self._writes_to_us(message.chat)
        until, limit = self._radar.holds(known=message.known), self._radar.restriction
        if until is not None and limit is not None:
            await self._hold(message, until, limit.reason)
            return
        view = await self._ledger.take(message.id)
        if view is not None:
            await self._hand_over(message, Outgoing(view.to.jid, view.type, view.content))

    async def _writes_to_us(self, chat: str) -> bool:
        try:
            return await self._database.read(lambda sql: messages.came_from(sql, self._bot, chat))
        except StoreError as error:
            log.warning("bot %s: it cannot be told whether a chat is new: %s", self._bot, error)
            return False

    async def _hold(self, message: Waiting, until: datetime, reason: str) -> None:
        """Let a message wait, which nobody has handed over yet."""
        message.due = until
        await self._ledger.write(lambda transaction: outbox.hold(transaction, message.id, until, reason))
        self.put(replace(message, since=0.0), front=True)

    async def _hand_over(self, message: Waiting, content: Outgoing) -> None:
        try:
            async with asyncio.timeout(self._limits.send_time):
                sent = await self._transport.send(content)
        except NotConnected as error:
            await self._requeue(message, _AGAIN, error.detail)
        except Restricted as error:
            wait = (self._radar.refused(error) - times.now()).total_seconds()
            await self._requeue(message, wait, error.detail)
        except TransportError as error:
            await self._try_again(message, error)
        except Refused as error:
            await self._ledger.end(message.id, MessageState.FAILED, error.detail)
        except TimeoutError:
            await self._ledger.end(
                message.id, MessageState.UNKNOWN, "WhatsApp did not answer: it may have been sent or not"
            )
        except Exception:
            log.exception("bot %s: sending failed in a way nobody expected", self._bot)
            await self._ledger.end(
                message.id, MessageState.UNKNOWN, "internal error, see the log: it may have been sent"
            )
        else:
            self._radar.passed(known=message.known)
            self._pacing.spoken(message.chat, self._loop.time())
            # The next one to this chat need not wait for the disk: its `sending` goes into the same commit.
            record = asyncio.create_task(self._ledger.sent(message.id, sent), name=f"sent-{self._bot}")
            self._records.add(record)
            record.add_done_callback(self._records.discard)

    async def _try_again(self, message: Waiting, error: TransportError) -> None:
        message.attempts += 1
        if message.attempts >= self._limits.send_attempts:
            await self._ledger.end(message.id, MessageState.FAILED, f"{error.detail} ({message.attempts} attempts)")
        else:
            await self._requeue(message, 2.0**message.attempts, error.detail)

    async def _requeue(self, message: Waiting, delay: float, reason: str) -> None:
        if message.account != self.account:
            await self._ledger.end(message.id, MessageState.FAILED, UNLINKED)
            return
        message.due = times.now() + timedelta(seconds=delay)
        await self._ledger.write(
            lambda transaction: outbox.requeue(transaction, message.id, message.attempts, message.due, reason)
        )
        self.put(replace(message, since=0.0), front=True)
