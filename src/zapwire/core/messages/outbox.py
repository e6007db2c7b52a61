"""Sending: takes messages from callers, stores them, and lets each bot's lane send them.

A message to a connected bot whose way is free is stored as `sending` and handed over right after that one commit;
any other is stored as `queued` and waits in its lane. Once `submit` returned, the message is safe; its further way is
told by `message.status` events, by `get` and by `wait`.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from zapwire.core.messages import inbox, submission
from zapwire.core.messages.content import sendable
from zapwire.core.messages.former_accounts import FormerAccounts
from zapwire.core.messages.forwarding import forwarded
from zapwire.core.messages.pacing.bot_pacing import BotPacing
from zapwire.core.messages.restrictions import RestrictionDetector
from zapwire.core.messages.send_options import SendOptions
from zapwire.core.messages.send_worker import SendWorker, Upload
from zapwire.core.person_merges import PersonMerges
from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.content.kinds import MEDIA, AnyContent
from zapwire.model.errors import (
    Conflict,
    InProgress,
    InvalidInput,
    NotFound,
    TooMany,
    ZapwireError,
)
from zapwire.model.jid import parse_recipient
from zapwire.model.messages import (
    DAMAGED_ROW,
    Message,
    MessageId,
    MessageState,
    NewMessage,
    OutgoingView,
    QueuedMessage,
    RecipientState,
)
from zapwire.model.pacing import PacingStatus
from zapwire.runtime.tasks import Tasks
from zapwire.store.ports import Store, Transactions, UnitOfWork, View
from zapwire.transport.protocol import Transport

log = logging.getLogger(__name__)

_ENDED_UNSENT = (MessageState.FAILED, MessageState.EXPIRED, MessageState.CANCELLED, MessageState.UNKNOWN)
_PENDING = frozenset({MessageState.QUEUED, MessageState.SENDING})


class Outbox:
    """All bots' outgoing messages. Bots come and go by `attach` and `detach`."""

    def __init__(
        self,
        database: Store,
        limits: Tuning,
        default_country: str | None = None,
        merges: PersonMerges | None = None,
    ) -> None:
        self.merges = merges or PersonMerges()
        self.merges.follow(self._united)
        self._database = database
        self._limits = limits
        self._default_country = default_country
        self._countries: dict[BotId, str] = {}
        """Of bots that have a default country of their own."""
        self._workers: dict[BotId, SendWorker] = {}
        self._refusals: dict[BotId, ZapwireError] = {}
        self._waiters: dict[MessageId, set[asyncio.Future[OutgoingView]]] = {}
        self._taking: set[tuple[str, str | None]] = set()
        """Bots and keys of requests whose files are being taken."""
        self._steps = Tasks()
        self._former = FormerAccounts(database, limits.store_again, self._steps, self._settled)
        self.upload: Upload | None = None
        """Uploads the files of messages; set before the first bot is attached."""

    def transport_of(self, bot: str) -> Transport | None:
        """The transport of a bot; None when there is no such bot."""
        worker = self._workers.get(BotId(bot))
        return None if worker is None else worker.transport

    async def submit(
        self,
        bot: str,
        to: str,
        content: AnyContent,
        *,
        idempotency_key: str | None = None,
        options: SendOptions | None = None,
        request: bytes | None = None,
        resend_of: MessageId | None = None,
    ) -> OutgoingView:
        """Take a message for *to* (a phone number or a JID); returns once it is stored.

        The same *idempotency_key* with the same message returns the first one again, with another it raises
        `IdempotencyMismatch`; *request* is a digest of what was asked for, if *content* does not tell.
        Raises `NotFound`, `InvalidInput` naming the field, `NotSupported`, `LoggedOut`, and
        `TooMany` when too many messages wait already.
        """
        worker, chat = self._admitted(bot, to, content.kind)
        submission.check_key(idempotency_key)
        created, options = timestamps.now(), options or SendOptions()
        digest = request or submission.digest_of(chat, content, options, resend_of)
        try:
            due, deadline = options.times(created, timedelta(seconds=self._limits.send_lifetime))
        except InvalidInput:  # of a repeat, whose deadline was still to come when it was taken
            known = await self.repeated(bot, idempotency_key, digest)
            if known is None:
                raise
            return known
        message = NewMessage(
            id=MessageId(f"msg_{secrets.token_hex(12)}"),
            bot=BotId(bot),
            chat=chat,
            content=content,
            digest=digest,
            created_at=created,
            deadline=deadline,
            key=idempotency_key,
            account=worker.account,  # as it is now: it may be gone when the message is stored
            notes=options.notes,
            due=due,
            deadline_given=options.deadline is not None,
            resend_of=resend_of,
        )
        # a caller who goes away leaves no message stored but unsent
        return await self._steps.shielded(self._store(worker, message), f"submit-{bot}")

    async def repeated(self, bot: str, key: str | None, digest: bytes) -> OutgoingView | None:
        """The message that was taken under *key* for the same request. Raises `IdempotencyMismatch`, `InvalidInput`."""
        submission.check_key(key)
        if key is None:
            return None
        return await self._database.read(lambda view: submission.known_under(view, BotId(bot), key, digest))

    async def resend(self, bot: str, message: str, *, idempotency_key: str | None = None) -> OutgoingView:
        """Send a message once more that was not sent, or of which nobody knows: as a new one, now.

        Raises `NotFound`, `Conflict` when it was sent or still may be, and what `submit` does.
        """
        submission.check_key(idempotency_key)
        found = await self.get(bot, message)
        if found.state not in _ENDED_UNSENT:
            raise Conflict(f"it is {found.state}: only {', '.join(_ENDED_UNSENT)} ones are sent again", field="message")
        if found.content.kind != found.type:
            raise Conflict(f"it cannot be sent again: {DAMAGED_ROW}", field="message")
        options, of = SendOptions(notes=found.notes), found.id
        return await self.submit(
            bot, found.to.jid, found.content, idempotency_key=idempotency_key, options=options, resend_of=of
        )

    async def forward(
        self,
        bot: str,
        message: str,
        to: str,
        *,
        chat: str | None = None,
        idempotency_key: str | None = None,
        options: SendOptions | None = None,
    ) -> OutgoingView:
        """Send the content of a message, ours or WhatsApp's in *chat*, on to *to*, marked as forwarded.

        Its file is not uploaded again while WhatsApp has it. Raises `NotFound`, and what `submit` does.
        """
        submission.check_key(idempotency_key)
        self._of(bot)
        place = None if chat is None else str(parse_recipient(chat, field="chat", country=self.country_of(bot)))
        content = await self._database.read(lambda view: forwarded(view, BotId(bot), message, place))
        return await self.submit(bot, to, content, idempotency_key=idempotency_key, options=options)

    async def recipients(self, bot: str, message: str) -> list[RecipientState]:
        """How far a message got with each of several recipients, of those that said anything. Raises `NotFound`."""

        def look(view: View) -> list[RecipientState]:
            found = _existing(view, bot, message)
            return [] if found.whatsapp_id is None else view.receipts.of(found.bot, found.whatsapp_id)

        return await self._database.read(look)

    @contextmanager
    def taking(self, bot: str, key: str | None) -> Iterator[None]:
        """While the file of a message is taken, no second request with its key is. Raises `InProgress`."""
        if (bot, key) in self._taking:
            raise InProgress(
                "a request with this Idempotency-Key is under way", field="Idempotency-Key", retry_after=1.0
            )
        if key is not None:
            self._taking.add((bot, key))
        try:
            yield
        finally:
            self._taking.discard((bot, key))

    def admit(self, bot: str, to: str, kind: str) -> None:
        """Can *bot* send messages of that type to *to*? To ask before a file is taken; raises like `submit`."""
        self._admitted(bot, to, kind)

    def _admitted(self, bot: str, to: str, kind: str) -> tuple[SendWorker, str]:
        worker = self._of(bot)
        chat = str(parse_recipient(to, country=self.country_of(bot)))
        sendable.check(kind, chat, worker.transport.capabilities)
        return worker, chat

    async def _store(self, worker: SendWorker, message: NewMessage) -> OutgoingView:
        full: ZapwireError | None = self._refusals.get(message.bot)
        if full is None:
            full = self._full(worker, scheduled=message.due is not None)
        if full is not None and message.key is None:
            raise full
        direct = message.content.kind not in MEDIA and message.due is None
        # counts from now on, or a burst could pass the limit while its writes wait
        entry = worker.enter(message.chat, direct=direct)

        def work(transaction: UnitOfWork) -> OutgoingView:
            view = submission.insert(
                transaction, message, worker, entry, full=full, fallback=self._limits.list_fallback
            )
            return _with_limit(transaction, worker, view)

        try:
            return await self._database.write(work)
        finally:
            worker.leave(entry)  # unless it is stored

    def _full(self, worker: SendWorker, *, scheduled: bool) -> TooMany | None:
        """What waits for its time, perhaps for months, takes no place from what is sent now."""
        number, what = (worker.scheduled, "are scheduled") if scheduled else (worker.waiting, "wait")
        if number < self._limits.queued_per_bot:
            return None
        return TooMany(f"{number} messages {what} for this bot already", retry_after=60.0)

    def read(self, bot: str, kind: str, fields: Mapping[str, Any]) -> AnyContent:
        """The content of a message of type *kind*, from *fields* as they came from outside. Raises like
        `sendable.read`.
        """
        return sendable.read(kind, fields, self.country_of(bot))

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
        worker = self._workers.get(BotId(bot))

        return await self._database.read(lambda view: _with_limit(view, worker, _existing(view, bot, message)))

    async def cancel(self, bot: str, message: str) -> OutgoingView:
        """Take back a message that is queued. Raises `NotFound`, and `Conflict` when it is being sent or has ended."""

        def work(transaction: UnitOfWork) -> OutgoingView:
            found = _existing(transaction, bot, message)
            if not transaction.outbox.cancel(found.bot, message):
                raise Conflict(f"only queued messages can be cancelled: this one is {found.state}", field="message")
            transaction.after_commit.append(partial(self._cancelled, found.bot, found.id))
            return inbox.emit_status(transaction, found.bot, found.id) or found

        view = await self._database.write(work)
        self._settled(view)
        return view

    def _cancelled(self, bot: BotId, message: MessageId) -> None:
        if bot in self._workers:
            self._workers[bot].forget(message)

    async def reschedule(self, bot: str, message: str, send_at: datetime) -> OutgoingView:
        """Move the moment at which a scheduled message is sent. Raises `NotFound`, `InvalidInput`, `Conflict`."""
        now = timestamps.now()
        due, deadline = SendOptions(send_at=send_at).times(now, timedelta(seconds=self._limits.send_lifetime))

        def work(transaction: UnitOfWork) -> OutgoingView:
            found = _existing(transaction, bot, message)
            waiting = transaction.outbox.reschedule(found.bot, message, due or now, deadline)
            if waiting is None:
                raise Conflict("only messages that are scheduled, and not sent yet, can be moved", field="message")
            if (media := getattr(found.content, "media", None)) is not None:
                transaction.media.used(media, waiting.deadline)
            transaction.after_commit.append(partial(self._rescheduled, found.bot, waiting))
            return inbox.emit_status(transaction, found.bot, found.id) or found

        return await self._database.write(work)

    def _rescheduled(self, bot: BotId, message: QueuedMessage) -> None:
        if bot in self._workers:
            self._workers[bot].reschedule(message)

    def linked(self, transaction: UnitOfWork, bot: BotId) -> None:
        """As part of *transaction*: a number was linked to the bot, which may have to warm up."""
        now = timestamps.now()
        transaction.pacing.linked(bot, now)
        transaction.after_commit.append(partial(self._linked, bot, now))

    def _linked(self, bot: BotId, at: datetime) -> None:
        if bot in self._workers:
            self._workers[bot].pacing.linked_at = at

    async def pacing(self, bot: str) -> PacingStatus:
        """What the bot may send now, and how that is set. Raises `NotFound`."""
        worker = self._of(bot)
        now = asyncio.get_running_loop().time()
        return await self._database.read(lambda view: worker.pacing.status(view, now))

    async def set_pacing(self, bot: str, changes: Mapping[str, Any]) -> PacingStatus:
        """Change options of the bot's pacing; without any it gets the daemon's. Raises `NotFound`, `InvalidInput`."""
        worker = self._of(bot)
        options = replace(worker.pacing.options, **changes) if changes else None
        await self._database.write(lambda transaction: transaction.pacing.save(BotId(bot), options))
        worker.repace(options or self._limits.pacing)
        return await self.pacing(bot)

    def _of(self, bot: str) -> SendWorker:
        worker = self._workers.get(BotId(bot))
        if worker is None:
            raise NotFound("no such bot", field="bot")
        return worker

    def time_locked(self, bot: BotId, until: datetime | None) -> None:
        """WhatsApp said until when the bot may not write to strangers; None: it may again."""
        if bot in self._workers:
            self._workers[bot].time_locked(until)

    async def wait(self, bot: str, message: str, seconds: float) -> OutgoingView:
        """Like `get`, once the message is neither queued nor being sent any more, or after *seconds*."""
        future: asyncio.Future[OutgoingView] = asyncio.get_running_loop().create_future()
        waiters = self._waiters.setdefault(MessageId(message), set())
        waiters.add(future)
        try:
            worker = self._workers.get(BotId(bot))
            if worker is None or message not in worker.unfinished:  # else its end is heard of here
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

    async def attach(
        self, bot: BotId, transport: Transport, restrictions: RestrictionDetector, store: Transactions
    ) -> None:
        """Take care of a bot's messages; those that waited before the daemon started wait again. What becomes of them
        is written to *store*.
        """
        account, waiting, lost = await self._database.read(lambda view: _standing(view, bot))
        options, linked_at = await self._database.read(lambda view: view.pacing.of(bot))
        worker = SendWorker(
            bot,
            transport,
            store,
            limits=self._limits,
            restrictions=restrictions,
            merges=self.merges,
            done=self._settled,
            account=account,
            upload=self.upload,
            pacing=BotPacing(bot, options or self._limits.pacing, linked_at),
        )
        worker.load(waiting)
        self._workers[bot] = worker
        if lost:
            self._former.fail(bot)

    async def detach(self, bot: BotId) -> None:
        """Stop sending for a bot that goes away."""
        self._refusals.pop(bot, None)
        self._countries.pop(bot, None)
        worker = self._workers.pop(bot, None)
        if worker is not None:
            await worker.close()

    def online(self, bot: BotId) -> None:
        """The bot is connected."""
        if bot in self._workers:
            self._workers[bot].go(online=True)

    def offline(self, bot: BotId) -> None:
        """The bot is not connected."""
        if bot in self._workers:
            self._workers[bot].go(online=False)

    def refuse(self, bot: BotId, why: ZapwireError | None) -> None:
        """Take no more messages for the bot, but repeats of those that were taken; None: take them."""
        if why is None:
            self._refusals.pop(bot, None)
        else:
            self._refusals[bot] = why

    def abandon(self, transaction: UnitOfWork, bot: BotId) -> None:
        """As part of *transaction*, which unlinks the bot: what waits was for the account that goes, and fails.

        That is one step, however much waits. The messages are failed one after the other afterwards, and told.
        """
        account = transaction.outbox.next_account(bot)
        transaction.after_commit.append(partial(self._abandoned, bot, account))

    def _abandoned(self, bot: BotId, account: int) -> None:
        if bot in self._workers:
            self._workers[bot].abandon(account)
        self._former.fail(bot)

    def _united(self, bot: BotId, gone: str, person: str) -> None:
        if bot in self._workers:
            self._workers[bot].united((gone, person))

    def heard(self, bot: BotId, message: Message) -> None:
        """A message came in; it paces the answers to its chat."""
        if bot in self._workers and not message.from_me:
            self._workers[bot].heard(message.chat)

    def wrote(self, bot: BotId, message: Message) -> None:
        """A message that came in is stored."""
        if bot in self._workers and not message.from_me:
            self._workers[bot].wrote(message.chat)

    async def drain(self, seconds: float) -> None:
        """Begin no more messages, and wait for those under way, at most *seconds*."""
        self._former.closing = True
        await asyncio.gather(*(worker.drain(seconds) for worker in self._workers.values()))

    async def close(self) -> None:
        """End everything."""
        self._former.closing = True
        await self._steps.settled()
        await asyncio.gather(*(worker.close() for worker in self._workers.values()))
        self._workers.clear()

    def _settled(self, view: OutgoingView) -> None:
        if view.bot in self._workers:
            self._workers[view.bot].unfinished.discard(view.id)
        for future in self._waiters.get(view.id, ()):
            if not future.done():
                future.set_result(view)


def _existing(view: View, bot: str, message: str) -> OutgoingView:
    found = view.outbox.get(bot, message)
    if found is None:
        raise NotFound("no such message of this bot", field="message")
    return found


def _standing(view: View, bot: BotId) -> tuple[int, list[QueuedMessage], bool]:
    """The number of the bot's account, what waits for it, and whether anything waits for an earlier one."""
    return view.outbox.account(bot) or 0, view.outbox.waiting(bot), bool(view.outbox.lost(bot, 1))


def _with_limit(view: View, worker: SendWorker | None, message: OutgoingView) -> OutgoingView:
    """*message* with the limit on the account that it waits for, or will meet."""
    if message.state not in _PENDING or worker is None:
        return message
    limit = worker.limit(known=True)
    if limit is None and worker.limit(known=False) is not None:
        limit = worker.limit(known=view.messages.came_from(message.bot, message.to.jid))
    if limit is None:
        return message
    reason = limit.reason if message.state is MessageState.QUEUED else message.reason
    return replace(message, reason=reason, limit=limit)
