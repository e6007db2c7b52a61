"""One bot's way out: hands its messages to the transport in the order of its queue, and sees to what becomes of them.

The rows are in the outbox; their order is in `core/messages/send_queue.py`. Nothing is sent while the bot is offline. A
message is marked `sending` in the database before it is handed over, so that after a crash it is known which ones
nobody can answer for.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
import time
from collections import deque
from collections.abc import Awaitable, Collection, Coroutine, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Protocol

from zapwire.core.messages.pacing.bot_pacing import BotPacing
from zapwire.core.messages.pacing.reply_spacing import ReplySpacing, names_of
from zapwire.core.messages.queued_messages import Entry, Place, Queued
from zapwire.core.messages.restrictions import RestrictionDetector
from zapwire.core.messages.send_queue import SendQueue
from zapwire.core.messages.send_results import Done, SendResults
from zapwire.core.person_merges import PersonMerges
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId, Restriction
from zapwire.model.errors import (
    NoSpace,
    NotConnected,
    NotSupported,
    Refused,
    Restricted,
    StoreError,
    TransportError,
    ZapwireError,
)
from zapwire.model.messages import MessageId, MessageState, Outgoing, Party, QueuedMessage
from zapwire.model.pacing import Hold, PacingCode, PacingOptions
from zapwire.runtime.tasks import Tasks
from zapwire.store.ports import Transactions
from zapwire.transport.protocol import Transport

log = logging.getLogger(__name__)

_SWEEP = 60.0
"""Seconds between two looks for messages that waited too long."""
_TRIAL = 2.0
"""Seconds between two held chats that are let go to try whether the limit is over."""
_TOLD_AT_ONCE = 50
"""Held messages that are emitted in one transaction."""

_WORTH_TELLING = 5.0
"""Seconds that a message waits by pacing from which on that is stored and emitted."""
_JITTER = 60.0
"""Seconds over which messages that were put off until one moment come back, at most."""

UNLINKED = "the bot was logged out before it was sent"
"""Why messages fail that were meant for an account the bot no longer has."""


class Upload(Protocol):
    """`MediaLibrary.upload`."""

    def __call__(self, media: str, transport: Transport) -> Awaitable[None]:
        """See to it that the network has the file."""


class SendWorker:
    """The waiting messages of one bot. Everything but the sends themselves happens without waiting, on the loop."""

    def __init__(
        self,
        bot: BotId,
        transport: Transport,
        store: Transactions,
        *,
        limits: Tuning,
        restrictions: RestrictionDetector,
        merges: PersonMerges,
        done: Done,
        account: int = 0,
        upload: Upload | None = None,
        pacing: BotPacing | None = None,
    ) -> None:
        self.transport = transport
        self._bot = bot
        self._store = store
        self._limits = limits
        self._results = SendResults(bot, store, limits, merges, done)
        self._restrictions = restrictions
        self._spacing = ReplySpacing(limits)
        self.pacing = pacing or BotPacing(bot, limits.pacing, None)
        self._queue = SendQueue(limits.sends_at_once, self._spacing.ready)
        self._upload = upload
        self._sends = Tasks()
        self._records = Tasks()
        self._untold: deque[Queued] = deque()
        """Held messages that nobody was told of yet."""
        self._telling: asyncio.Task[None] | None = None
        self._next_trial = 0.0
        self._scheduled: list[tuple[float, int, QueuedMessage]] = []
        """A heap of messages that are not due yet: when, on the wall clock, in which order, which."""
        self._due: dict[MessageId, tuple[float, QueuedMessage]] = {}
        """When each of them is due; an entry of the heap with another time is out of date."""
        self._passed_over: set[MessageId] = set()
        """Messages in the queue that are not to be sent: taken back, or put off."""
        self._online = False
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.unfinished: set[MessageId] = set()
        """Messages whose end is still to come, in this process."""
        self.account = account
        """Counts the accounts the bot had; no message goes out through another one than it was meant for."""

    @property
    def waiting(self) -> int:
        """Messages queued here or on their way into the queue, without those that are scheduled for later."""
        return max(0, self._queue.waiting + self._queue.entering - len(self._passed_over))

    @property
    def scheduled(self) -> int:
        """Messages that wait for their time."""
        return len(self._due)

    def limit(self, *, known: bool) -> Restriction | None:
        """What makes a queued message wait, if it is a limit on the account."""
        return self._restrictions.limit(known=known)

    def time_locked(self, until: datetime | None) -> None:
        """See `RestrictionDetector.announced`."""
        self._restrictions.announced(until)
        self._pump()

    # -- what happens -----------------------------------------------------------------------------------------------

    def go(self, *, online: bool) -> None:
        """Start or stop sending."""
        if online is not self._online:
            self._online = online
            self._pump()

    def abandon(self, account: int) -> None:
        """The account is gone, the next one is *account*: let go of what waits for it; the database knows already."""
        self.account = account
        self._restrictions.forget()
        self._queue.clear()
        self._untold.clear()
        self._scheduled.clear()
        self._due.clear()
        self._passed_over.clear()

    def heard(self, chat: Party) -> None:
        """Note a message from *chat*, which paces messages to it."""
        names, now = names_of(chat), self._loop.time()
        self._spacing.heard(names, now)
        self.pacing.heard(names, now)

    def wrote(self, chat: Party) -> None:
        """*chat* has written, which is stored: what was held back as a first message to it need not wait."""
        names, now = names_of(chat), self._loop.time()
        self._spacing.know(names)
        self._queue.know(names, now)
        if any(self._queue.hurry(name, now) for name in names):
            self._pump()
        if self._restrictions.asks_who():
            for name in names:
                self._queue.free(name, now)
            self._pump()

    def united(self, names: Collection[str]) -> None:
        """These are names of one chat."""
        self._spacing.know(names)
        self._queue.know(names, self._loop.time())
        self._pump()

    def repace(self, options: PacingOptions) -> None:
        """Other rules count from now on, also for what waits by the ones before."""
        self.pacing.change(options)
        for message in list(self._queue.messages()):
            message.has_place = False
            if message.paced:
                self._queue.hurry(message.to, self._loop.time())
        self._pump()

    # -- what comes in ----------------------------------------------------------------------------------------------

    def load(self, waiting: Iterable[QueuedMessage]) -> None:
        """Queue what waited before the daemon started."""
        for message in waiting:
            delay = (message.due - timestamps.now()).total_seconds()
            if message.scheduled and delay > 0:
                self.schedule(message)
                continue
            self._queue.put(self._queued(message, delay), names_of(message.to), self._loop.time())
        self._pump()

    def enter(self, chat: str, *, direct: bool = True) -> Entry:
        """A message to *chat* is about to be stored, as `sending` if it may go out *direct* and the way is free.

        `stored` or `leave` comes.
        """
        is_open = direct and self._online and not self._closed and self._restrictions.restriction is None
        now = self._loop.time()
        is_free = is_open and not self._queue.is_waiting(chat) and self.pacing.is_open(chat, now)
        return self._queue.enter(chat, now, is_open=is_free)

    def stored(self, entry: Entry, message: QueuedMessage, content: Outgoing | None) -> None:
        """The message is stored: send it, or let it wait; without *content* it has to wait."""
        self.unfinished.add(message.id)
        if message.scheduled and message.due > timestamps.now():
            self.leave(entry)
            self.schedule(message)
            self._pump()
            return
        queued = self._queued(message)
        place = self._queue.stored(entry, queued, names_of(message.to), self._loop.time())
        if place is Place.QUEUED:
            self._tell_if_held(queued)
            self._pump()
        elif place is Place.SEND and content is not None and not self._closed:
            self._begin(queued, self._hand_over(queued, content))
        else:
            self._begin(queued, self._requeue(queued, 0.0))

    def schedule(self, message: QueuedMessage) -> None:
        """Let a message that is stored wait outside of the queue until it is due; also once more, with another time."""
        due = message.due.timestamp()
        self._due[message.id] = due, message
        heapq.heappush(self._scheduled, (due, message.n, message))
        if len(self._scheduled) > 2 * len(self._due) + 64:  # mostly entries that are out of date
            self._scheduled = [(due, one.n, one) for due, one in self._due.values()]
            heapq.heapify(self._scheduled)

    def _take_scheduled(self) -> float | None:
        """Queue what is due; returns the seconds until the next one is."""
        now = time.time()
        while self._scheduled:
            due, _, message = self._scheduled[0]
            known = self._due.get(message.id)
            if known is not None and known[0] == due > now:
                return due - now
            heapq.heappop(self._scheduled)
            if known is not None and known[0] == due:  # else it was put off, or taken back
                del self._due[message.id]
                self._queue.put(self._queued(message), names_of(message.to), self._loop.time())
        return None

    def reschedule(self, message: QueuedMessage) -> None:
        """The message is due at another time now. If it is in the queue already, it is passed over there."""
        if message.id not in self._due:
            self._passed_over.add(message.id)
        self.schedule(message)
        self._pump()

    def forget(self, message: MessageId) -> None:
        """The message was taken back; in the queue it is passed over when its turn comes."""
        if self._due.pop(message, None) is None:
            self._passed_over.add(message)

    def leave(self, entry: Entry) -> None:
        """The message was not stored, or had been before."""
        if not entry.over:
            self._queue.leave(entry, self._loop.time())
            self._pump()

    def _queued(self, message: QueuedMessage, delay: float = 0.0) -> Queued:
        return Queued(
            n=message.n,
            id=message.id,
            to=message.chat,
            deadline=message.deadline.timestamp(),
            ready=self._loop.time() + delay,
            attempts=message.attempts,
            account=message.account,
            has_file=message.has_file,
            paced=message.paced,
        )

    # -- the end ----------------------------------------------------------------------------------------------------

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and give what is under way *seconds* to end."""
        self._closed = self._results.closing = True
        if self._timer is not None:
            self._timer.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._sends.settled()
                await self._records.settled()

    async def close(self) -> None:
        """End everything at once; what is under way stays `sending` in the database, what is known is written."""
        await self.drain(0)
        await self._sends.cancel()
        await self._records.settled()

    # -- what goes out ----------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Begin what may begin, and look again when the next one may."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._closed:
            return
        until_due = self._take_scheduled()
        while (message := self._queue.expired(time.time())) is not None:
            self._begin(message, self._expire(message))
        if self._queue.waiting or until_due is not None:
            now = self._loop.time()
            look = self._pump_online(now) if self._online else None
            deadline = self._queue.next_deadline()
            until_late = _SWEEP if deadline is None else max(0.0, deadline - time.time())
            looks = (look or now + _SWEEP, now + min(_SWEEP, _SWEEP if until_due is None else until_due, until_late))
            self._timer = self._loop.call_at(min(looks), self._pump)

    def _pump_online(self, now: float) -> float | None:
        """Begin what may begin; returns when to look again, if that is known."""
        trial = self._free_held(now)
        while self._queue.is_ready(now):
            until = self._restrictions.holds(known=True)
            if until is not None:
                return now + max(0.0, (until - timestamps.now()).total_seconds())
            message = self._queue.next(now)
            if message is not None:
                self._begin(message, self._take(message))
        soonest = self._queue.soonest()
        return min((when for when in (trial, soonest) if when is not None), default=None)

    def _free_held(self, now: float) -> float | None:
        """Let held chats go when their limit is over, or one of them when it may be; returns when to look again."""
        if not self._queue.holds:
            return None
        if not self._restrictions.asks_who():
            self._queue.free_all()
            return None
        trial = self._restrictions.next_trial()
        if trial is None:
            return None
        when = max(now + (trial - timestamps.now()).total_seconds(), self._next_trial)
        if when > now:
            return when
        self._queue.free_one(now)
        self._next_trial = now + _TRIAL
        return self._next_trial

    def _begin(self, message: Queued, step: Coroutine[Any, Any, None]) -> None:
        task = self._sends.spawn(step, f"send-{self._bot}")

        def ended(_: asyncio.Task[None]) -> None:
            self._queue.release(message, self._loop.time())
            self._passed_over.discard(message.id)
            self._pump()

        task.add_done_callback(ended)

    async def _expire(self, message: Queued) -> None:
        why = "its deadline came before it could be sent"
        if message.paced:
            why = "its deadline came while it waited for the bot's pacing (docs/pacing.md)"
        elif not self._online:
            why = "its deadline came while the bot was not connected"
        elif (limit := self._restrictions.restriction) is not None:
            why = f"{limit.reason}, and did so until its deadline"
        await self._results.expire(message.id, why)

    async def _take(self, message: Queued) -> None:
        message.known = not self._restrictions.asks_who() or await self._writes_to_us(message.to)
        if not message.known and self._restrictions.holds(known=False) is not None:
            self._hold(message)
            return
        names, now = self._queue.names(message.to), self._loop.time()
        if (hold := self.pacing.hold(names, now, has_place=message.has_place)) is not None:
            message.has_place = hold.code is PacingCode.RATE
            if (hold.until - timestamps.now()).total_seconds() > _WORTH_TELLING:
                await self._results.put_off(message.id, message.attempts, hold)
            self._put_off(message, hold)
            return
        if message.has_file and not await self._uploaded(message):
            return
        found = await self._results.take(message.id, message.to, message.attempts, self.pacing)
        if isinstance(found, Hold):
            self._put_off(message, found)
        elif found is not None:
            await self._hand_over(message, found)

    def _put_off(self, message: Queued, hold: Hold) -> None:
        """Look at a message, and at what is behind it in its chat, once pacing lets it go; not all in one moment."""
        wait = max(0.0, (hold.until - timestamps.now()).total_seconds())
        message.ready = self._loop.time() + wait + random.uniform(0.0, min(_JITTER, wait / 10))  # noqa: S311 - no secret
        message.paced = True
        self._queue.put(message, (), self._loop.time())

    async def _uploaded(self, message: Queued) -> bool:
        """Is the message's file at WhatsApp, so that it may be sent? If not, it waits again or has failed."""
        try:
            view = await self._store.read(lambda view: view.outbox.get(self._bot, message.id))
            media = getattr(view.content, "media", None) if view is not None else None
            if (
                view is not None
                and view.state is MessageState.QUEUED
                and media is not None
                and self._upload is not None
            ):
                await self._upload(media, self.transport)  # of all others `take` says the rest
        except (NotConnected, StoreError, NoSpace) as error:  # a fault of our own, which passes
            await self._requeue(message, self._limits.send_again, error.detail)
        except TransportError as error:
            await self._try_again(message, error)
        except ZapwireError as error:
            await self._results.end(message.id, MessageState.FAILED, error.detail)
        except Exception:
            log.exception("bot %s: a file could not be uploaded, with an unexpected error", self._bot)
            await self._results.end(message.id, MessageState.FAILED, "internal error, see the log: it was not sent")
        else:
            return True
        return False

    async def _writes_to_us(self, chat: str) -> bool:
        try:
            return await self._store.read(lambda view: view.messages.came_from(self._bot, chat))
        except StoreError as error:
            log.warning("bot %s: whether a chat is new cannot be looked up: %s", self._bot, error)
            return False

    async def _hand_over(self, message: Queued, content: Outgoing) -> None:
        try:
            async with asyncio.timeout(self._limits.send_time):
                sent = await self.transport.send(content)
        except NotConnected as error:
            await self._requeue(message, self._limits.send_again, error.detail)
        except Restricted as error:
            await self._restricted(message, error)
        except TransportError as error:
            await self._try_again(message, error)
        except (Refused, NotSupported) as error:
            await self._results.end(message.id, MessageState.FAILED, error.detail)
        except TimeoutError:
            await self._results.end(
                message.id, MessageState.UNKNOWN, "WhatsApp did not answer: it may have been sent or not"
            )
        except Exception:
            log.exception("bot %s: sending failed with an unexpected error", self._bot)
            await self._results.end(
                message.id, MessageState.UNKNOWN, "internal error, see the log: it may have been sent"
            )
        else:
            self._restrictions.passed(known=message.known)
            self._spacing.spoken(self._queue.names(message.to), self._loop.time())
            # The next one to this chat need not wait for the disk: its `sending` goes into the same commit.
            self._records.spawn(self._results.sent(message.id, message.to, sent), f"sent-{self._bot}")

    async def _try_again(self, message: Queued, error: TransportError) -> None:
        message.attempts += 1
        if message.attempts >= self._limits.send_attempts:
            await self._results.end(message.id, MessageState.FAILED, f"{error.detail} ({message.attempts} attempts)")
        else:
            await self._requeue(message, self._limits.send_again * 2.0**message.attempts, error.detail)

    async def _requeue(self, message: Queued, delay: float, reason: str | None = None, *, held: bool = False) -> None:
        """Let a message wait again that was marked `sending` and surely not sent; *held* by a limit is emitted."""
        due = timestamps.now() + timedelta(seconds=delay)
        if message.account == self.account:
            await self._results.requeue(message.id, message.attempts, due, reason, told=held and not message.told)
        if message.account != self.account:  # perhaps only since the line before
            await self._results.end(message.id, MessageState.FAILED, UNLINKED)
            return
        message.told = message.told or held
        message.ready = self._loop.time() + delay
        if held and self._restrictions.asks_who():
            self._hold(message)
        else:
            self._queue.put(message, (), self._loop.time())

    # -- limits -----------------------------------------------------------------------------------------------------

    async def _restricted(self, message: Queued, error: Restricted) -> None:
        self._restrictions.refused(error)
        if not self._restrictions.asks_who():  # all are held
            self._tell_held(self._queue.messages())
        await self._requeue(message, 0.0, error.detail, held=True)

    def _hold(self, message: Queued) -> None:
        """Let a message wait for the end of a limit, with what is behind it in its chat."""
        self._tell_held(self._queue.hold(message, self._loop.time()))

    def _tell_if_held(self, message: Queued) -> None:
        limit = self._restrictions.restriction
        if limit is not None and (not self._restrictions.asks_who() or self._queue.is_held(message.to)):
            self._tell_held([message])

    def _tell_held(self, held: Iterable[Queued]) -> None:
        """Tell of held messages that they are, a few at a time."""
        for message in held:
            if not message.told:
                message.told = True
                self._untold.append(message)
        if self._untold and self._telling is None and not self._closed:
            self._telling = self._sends.spawn(self._tell_all(), f"held-{self._bot}")
            self._telling.add_done_callback(self._all_told)

    async def _tell_all(self) -> None:
        while self._untold and not self._closed:
            reason = self._restrictions.restriction.reason if self._restrictions.restriction is not None else None
            some = [self._untold.popleft().id for _ in range(min(_TOLD_AT_ONCE, len(self._untold)))]
            if reason is not None:
                await self._results.held(some, reason)

    def _all_told(self, _: asyncio.Task[None]) -> None:
        self._telling = None
        self._tell_held(())
