"""Sending: takes messages from callers, stores them, and lets each bot's lane send them.

A message to a connected bot whose way is free is stored as `sending` and handed over right after that one commit;
any other is stored as `queued` and waits in its lane. Once `submit` returned, the message is safe; its further way is
told by `message.status` events, by `get` and by `wait`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

from zapwire.core import intake
from zapwire.core.lane import UNLINKED, Lane
from zapwire.core.limits import Limits
from zapwire.core.merges import Merges
from zapwire.core.radar import Radar
from zapwire.core.send_queue import Entry
from zapwire.errors import IdempotencyMismatch, InvalidInput, NotFound, NotSupported, StoreError, TooMany, ZapwireError
from zapwire.jid import parse_recipient
from zapwire.model import BotId, Message, MessageId, MessageState, Outgoing, OutgoingView
from zapwire.store import messages, outbox, times
from zapwire.store.db import Database, Transaction
from zapwire.store.outbox import NewMessage
from zapwire.store.values import Connection
from zapwire.tasks import Tasks
from zapwire.transport.base import Transport

log = logging.getLogger(__name__)

TEXT_LONGEST = 65_536
KEY_LONGEST = 255
_FAILED_AT_ONCE = 50
"""Messages of a former account that are failed in one transaction: some 5 ms."""
_PENDING = frozenset({MessageState.QUEUED, MessageState.SENDING})


class Sender:
    """All bots' outgoing messages. Bots come and go by `attach` and `detach`."""

    def __init__(
        self,
        database: Database,
        limits: Limits,
        default_country: str | None = None,
        merges: Merges | None = None,
    ) -> None:
        self.merges = merges or Merges()
        self.merges.follow(self._united)
        self._database = database
        self._limits = limits
        self._default_country = default_country
        self._countries: dict[BotId, str] = {}
        """Of bots that have a default country of their own."""
        self._lanes: dict[BotId, Lane] = {}
        self._refusals: dict[BotId, ZapwireError] = {}
        self._waiters: dict[MessageId, set[asyncio.Future[OutgoingView]]] = {}
        self._steps = Tasks()
        self._failing: set[BotId] = set()
        """Bots whose messages to an account that is gone are being failed."""
        self._closing = False

    async def submit(
        self,
        bot: str,
        to: str,
        type: str,  # noqa: A002 - the field's name everywhere
        content: dict[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> OutgoingView:
        """Take a message for *to* (a phone number or a JID); returns once it is stored.

        The same *idempotency_key* with the same message returns the first one again, with another it raises
        `IdempotencyMismatch`. Raises `NotFound`, `InvalidInput` naming the field, `NotSupported`, `LoggedOut`, and
        `TooMany` when too many messages wait already.
        """
        lane = self._lanes.get(BotId(bot))
        if lane is None:
            raise NotFound("no such bot", field="bot")
        chat = str(parse_recipient(to, country=self.country_of(bot)))
        _check(lane.transport, type, content, idempotency_key)
        created = times.now()
        message = NewMessage(
            id=MessageId(f"msg_{secrets.token_hex(12)}"),
            bot=BotId(bot),
            chat=chat,
            type=type,
            content=content,
            digest=_digest(chat, type, content),
            created_at=created,
            deadline=created + timedelta(seconds=self._limits.send_lifetime),
            key=idempotency_key,
            account=lane.account,  # as it is now: it may be gone when the message is stored
        )
        # a caller who goes away leaves no message stored but unsent
        return await self._steps.shielded(self._store(lane, message), f"submit-{bot}")

    async def _store(self, lane: Lane, message: NewMessage) -> OutgoingView:
        full: ZapwireError | None = self._refusals.get(message.bot)
        if full is None and lane.waiting >= self._limits.queued_per_bot:
            full = TooMany(f"{lane.waiting} messages wait for this bot already", retry_after=60.0)
        if full is not None and message.key is None:
            raise full
        entry = lane.enter(message.chat)  # counts from now on, or a burst could pass the limit while its writes wait

        def work(transaction: Transaction) -> OutgoingView:
            return _insert(transaction, message, lane, entry, full)

        try:
            return await self._database.write(work)
        finally:
            lane.leave(entry)  # unless it is stored

    def country_of(self, bot: str) -> str | None:
        """In which country numbers without a country code are dialled that *bot* is given; None: in none."""
        return self._countries.get(BotId(bot), self._default_country)

    def set_country(self, bot: BotId, country: str | None) -> None:
        """Give a bot a default country of its own, or with None that of the daemon."""
        self._countries.pop(bot, None)
        if country is not None:
            self._countries[bot] = country

    async def get(self, bot: str, message: str) -> OutgoingView:
        """An outgoing message as it is now. Raises `NotFound`."""
        lane = self._lanes.get(BotId(bot))

        def work(sql: Connection) -> OutgoingView | None:
            view = outbox.get(sql, bot, message)
            if view is None or view.state is not MessageState.QUEUED or lane is None:
                return view
            why = lane.why_waiting(known=True)
            if why is None and lane.why_waiting(known=False) is not None:
                why = lane.why_waiting(known=messages.came_from(sql, BotId(bot), view.to.jid))
            return view if why is None else replace(view, reason=why)

        view = await self._database.read(work)
        if view is None:
            raise NotFound("no such message of this bot", field="message")
        return view

    async def wait(self, bot: str, message: str, seconds: float) -> OutgoingView:
        """Like `get`, once the message is neither queued nor being sent any more, or after *seconds*."""
        future: asyncio.Future[OutgoingView] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(MessageId(message), set())
        waiters.add(future)
        try:
            view = await self.get(bot, message)
            if view.state not in _PENDING:
                return view
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    return await future
            return await self.get(bot, message)
        finally:
            waiters.discard(future)
            if not waiters:
                self._waiters.pop(MessageId(message), None)

    # -- for the fleet ------------------------------------------------------------------------------------------

    async def attach(self, bot: BotId, transport: Transport, radar: Radar) -> None:
        """Take care of a bot's messages; those that waited before the daemon started wait again."""
        account, waiting, lost = await self._database.read(lambda sql: _standing(sql, bot))
        lane = Lane(
            bot,
            transport,
            self._database,
            limits=self._limits,
            radar=radar,
            merges=self.merges,
            done=self._settled,
            account=account,
        )
        lane.load(waiting)
        self._lanes[bot] = lane
        if lost:
            self._fail_lost(bot)

    async def detach(self, bot: BotId) -> None:
        """Stop sending for a bot that goes away."""
        self._refusals.pop(bot, None)
        self._countries.pop(bot, None)
        lane = self._lanes.pop(bot, None)
        if lane is not None:
            await lane.close()

    def online(self, bot: BotId) -> None:
        """The bot is connected."""
        if bot in self._lanes:
            self._lanes[bot].go(online=True)

    def offline(self, bot: BotId) -> None:
        """The bot is not connected."""
        if bot in self._lanes:
            self._lanes[bot].go(online=False)

    def refuse(self, bot: BotId, why: ZapwireError | None) -> None:
        """Take no more messages for the bot, but repeats of those that were taken; None: take them."""
        if why is None:
            self._refusals.pop(bot, None)
        else:
            self._refusals[bot] = why

    def abandon(self, transaction: Transaction, bot: BotId) -> None:
        """As part of *transaction*, which unlinks the bot: what waits was for the account that goes, and fails.

        That is one step, however much waits. The messages are failed one after the other afterwards, and told.
        """
        account = outbox.next_account(transaction, bot)
        transaction.then.append(partial(self._abandoned, bot, account))

    def _abandoned(self, bot: BotId, account: int) -> None:
        if bot in self._lanes:
            self._lanes[bot].abandon(account)
        self._fail_lost(bot)

    def _fail_lost(self, bot: BotId) -> None:
        if bot not in self._failing:
            self._failing.add(bot)
            self._steps.spawn(self._fail_all_lost(bot), f"failing-{bot}")

    async def _fail_all_lost(self, bot: BotId) -> None:
        """Fail what waits for an account that is gone, a little at a time, so that no other write waits long.

        What is left when the daemon stops is done at the next start.
        """
        try:
            while not self._closing and (some := await self._insist(partial(_fail_some, bot=bot))):
                for view in some:
                    self._settled(view)
        except StoreError as error:
            log.error("bot %s: messages to a former account could not be failed: %s", bot, error)  # noqa: TRY400
        finally:
            self._failing.discard(bot)

    async def _insist(self, work: Callable[[Transaction], list[OutgoingView]]) -> list[OutgoingView]:
        while True:
            try:
                return await self._database.write(work)
            except StoreError:
                if self._closing:
                    raise
                await asyncio.sleep(self._limits.store_again)

    def _united(self, bot: BotId, gone: str, person: str) -> None:
        if bot in self._lanes:
            self._lanes[bot].united((gone, person))

    def heard(self, bot: BotId, message: Message) -> None:
        """A message came in; it paces the answers to its chat."""
        if bot in self._lanes and not message.from_me:
            self._lanes[bot].heard(message.chat)

    def wrote(self, bot: BotId, message: Message) -> None:
        """A message that came in is stored."""
        if bot in self._lanes and not message.from_me:
            self._lanes[bot].wrote(message.chat)

    async def drain(self, seconds: float) -> None:
        """Begin no more messages, and wait for those under way, at most *seconds*."""
        self._closing = True
        await asyncio.gather(*(lane.drain(seconds) for lane in self._lanes.values()))

    async def close(self) -> None:
        """End everything."""
        self._closing = True
        await self._steps.settled()
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))
        self._lanes.clear()

    def _settled(self, view: OutgoingView) -> None:
        for future in self._waiters.get(view.id, ()):
            if not future.done():
                future.set_result(view)


def _insert(
    transaction: Transaction, message: NewMessage, lane: Lane, entry: Entry, full: ZapwireError | None
) -> OutgoingView:
    """Store the message and hand it to *lane*, or find the one stored under its key. A new one raises *full*."""
    now = outbox.account(transaction.sql, message.bot)
    if now is None:
        raise NotFound("no such bot", field="bot")
    if message.key is not None:
        known = outbox.by_key(transaction.sql, message.bot, message.key)
        if known is not None:
            view, digest = known
            if digest != message.digest:
                raise IdempotencyMismatch("this Idempotency-Key was used for another message", field="Idempotency-Key")
            return view
    if full is not None:
        raise full
    number, view = outbox.insert(transaction, message, MessageState.SENDING if entry.direct else MessageState.QUEUED)
    if message.account != now:
        outbox.finish(transaction, message.id, MessageState.FAILED, UNLINKED)
        return intake.tell(transaction, message.bot, message.id) or view
    waiting = outbox.Waiting(
        number, message.id, message.chat, view.to, message.deadline, message.created_at, account=now
    )
    content = Outgoing(message.chat, message.type, message.content)
    # On the loop, in the order of the commits, and before anybody hears of it: that is the order of the chat.
    transaction.then.append(partial(lane.stored, entry, waiting, content))
    return view


def _standing(sql: Connection, bot: BotId) -> tuple[int, list[outbox.Waiting], bool]:
    """The number of the bot's account, what waits for it, and whether anything waits for an earlier one."""
    return outbox.account(sql, bot) or 0, outbox.waiting(sql, bot), bool(outbox.lost(sql, bot, 1))


def _fail_some(transaction: Transaction, bot: BotId) -> list[OutgoingView]:
    """Fail some of what waits for an account that is gone, and tell it."""
    found = []
    for message in outbox.lost(transaction.sql, bot, _FAILED_AT_ONCE):
        if outbox.finish(transaction, message, MessageState.FAILED, UNLINKED):
            view = intake.tell(transaction, bot, message)
            if view is not None:
                found.append(view)
    return found


def _check(transport: Transport, kind: str, content: dict[str, Any], key: str | None) -> None:
    if kind not in transport.capabilities.message_types:
        raise NotSupported(f"this bot cannot send messages of type {kind!r}", field="type")
    if kind == "text":
        text = content.get("text")
        if not isinstance(text, str) or not text.strip():
            raise InvalidInput("a text message needs a text", field="text")
        if len(text) > TEXT_LONGEST:
            raise InvalidInput(f"longer than {TEXT_LONGEST} characters", field="text")
    if key is not None and not (0 < len(key) <= KEY_LONGEST and key.isprintable()):
        raise InvalidInput(f"1 to {KEY_LONGEST} printable characters", field="Idempotency-Key")


def _digest(chat: str, kind: str, content: dict[str, Any]) -> bytes:
    return hashlib.sha256(json.dumps([chat, kind, content], sort_keys=True).encode()).digest()
