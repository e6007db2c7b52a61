"""Sending: takes messages from callers, stores them, and lets each bot's lane send them.

A message to a connected bot whose way is free is stored as `sending` and handed over right after that one commit;
any other is stored as `queued` and waits in its lane. Once `submit` returned, the message is safe; its further way is
told by `message.status` events, by `get` and by `wait`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from zapwire.core import intake
from zapwire.core.lane import UNLINKED, Lane
from zapwire.core.limits import Limits
from zapwire.core.radar import Radar
from zapwire.errors import IdempotencyMismatch, InvalidInput, NotFound, NotSupported, TooMany
from zapwire.jid import parse_recipient
from zapwire.model import BotId, Message, MessageId, MessageState, Outgoing, OutgoingView
from zapwire.store import bots, outbox, times
from zapwire.store.db import Database, Transaction
from zapwire.store.outbox import NewMessage, Waiting
from zapwire.transport.base import Transport

TEXT_LONGEST = 65_536
KEY_LONGEST = 255
_PENDING = frozenset({MessageState.QUEUED, MessageState.SENDING})


class Sender:
    """All bots' outgoing messages. Bots come and go by `attach` and `detach`."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = database
        self._limits = limits
        self._lanes: dict[BotId, Lane] = {}
        self._waiters: dict[MessageId, set[asyncio.Future[OutgoingView]]] = {}
        self._steps: set[asyncio.Task[Any]] = set()

    async def submit(
        self,
        bot: str,
        to: str,
        type: str,  # noqa: A002 - the field's name everywhere
        content: dict[str, Any],
        *,
        idempotency_key: str | None = None,
    ) -> OutgoingView:
        """Take a message for *to* (+E.164, digits or a JID); returns once it is stored.

        The same *idempotency_key* with the same message returns the first one again, with another it raises
        `IdempotencyMismatch`. Raises `NotFound`, `InvalidInput` naming the field, `NotSupported`, and `TooMany` when
        too many messages wait already.
        """
        lane = self._lanes.get(BotId(bot))
        if lane is None:
            raise NotFound("no such bot", field="bot")
        chat = str(parse_recipient(to))
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
        )
        task = asyncio.create_task(self._store(lane, message))
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        return await asyncio.shield(task)  # a caller who goes away leaves no message stored but unsent

    async def _store(self, lane: Lane, message: NewMessage) -> OutgoingView:
        full = None
        if lane.waiting >= self._limits.queued_per_bot:
            full = TooMany(f"{lane.waiting} messages wait for this bot already", retry_after=60.0)
            if message.key is None:
                raise full
        account = lane.account  # as it is now: it may be gone when the message is stored
        direct = full is None and lane.reserve(message.chat)
        state = MessageState.SENDING if direct else MessageState.QUEUED
        lane.waiting += 1  # counts from now on, or a burst could pass the limit while its writes wait
        try:
            view, new = await self._database.write(lambda transaction: _insert(transaction, message, state, full))
        except BaseException:
            if direct:
                lane.release(message.chat)
            raise
        finally:
            lane.waiting -= 1
        waiting = Waiting(message.id, message.chat, message.deadline, message.created_at, account=account)
        if direct and new:
            lane.send(waiting, Outgoing(message.chat, message.type, message.content))
        elif direct:
            lane.release(message.chat)
        elif new:
            lane.put(waiting)
        return view

    async def get(self, bot: str, message: str) -> OutgoingView:
        """An outgoing message as it is now. Raises `NotFound`."""
        view = await self._database.read(lambda sql: outbox.get(sql, bot, message))
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
        lane = Lane(bot, transport, self._database, limits=self._limits, radar=radar, done=self._settled)
        for waiting in await self._database.read(lambda sql: outbox.waiting(sql, bot)):
            lane.put(waiting)
        self._lanes[bot] = lane

    async def detach(self, bot: BotId) -> None:
        """Stop sending for a bot that goes away."""
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

    def abandon(self, transaction: Transaction, bot: BotId) -> None:
        """As part of *transaction*, which unlinks the bot: fail what waits to be sent by the account, and tell it."""
        failed = outbox.abandon(transaction, bot, UNLINKED)
        for message in failed:
            intake.tell(transaction, bot, message)
        views = [view for message in failed if (view := outbox.get(transaction.sql, bot, message)) is not None]
        transaction.then.append(partial(self._abandoned, bot, views))

    def _abandoned(self, bot: BotId, views: list[OutgoingView]) -> None:
        if bot in self._lanes:
            self._lanes[bot].abandon()
        for view in views:
            self._settled(view)

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
        await self._all(lane.drain(seconds) for lane in self._lanes.values())

    async def close(self) -> None:
        """End everything."""
        if self._steps:
            await asyncio.wait(self._steps)
        await self._all(lane.close() for lane in self._lanes.values())
        self._lanes.clear()

    async def _all(self, steps: Any) -> None:
        await asyncio.gather(*steps)

    def _settled(self, view: OutgoingView) -> None:
        for future in self._waiters.get(view.id, ()):
            if not future.done():
                future.set_result(view)


def _insert(
    transaction: Transaction, message: NewMessage, state: MessageState, full: TooMany | None
) -> tuple[OutgoingView, bool]:
    """Store the message, or find the one stored under its key. Also: is it new? A new one raises *full*."""
    if not bots.exists(transaction.sql, message.bot):
        raise NotFound("no such bot", field="bot")
    if message.key is not None:
        known = outbox.by_key(transaction.sql, message.bot, message.key)
        if known is not None:
            view, digest = known
            if digest != message.digest:
                raise IdempotencyMismatch("this Idempotency-Key was used for another message", field="Idempotency-Key")
            return view, False
    if full is not None:
        raise full
    outbox.insert(transaction, message, state)
    stored = outbox.get(transaction.sql, message.bot, message.id)
    assert stored is not None  # noqa: S101 - just inserted
    return stored, True


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
