"""One bot's pacing: when a message to a chat may go. What has to be remembered over a restart is in the store."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Final

from zapwire.core.messages.pacing import rules
from zapwire.core.messages.pacing.rules import Rate
from zapwire.model import timestamps
from zapwire.model.bots import BotId
from zapwire.model.jid import LID_SERVER, PHONE_SERVER
from zapwire.model.messages import Party
from zapwire.model.pacing import Hold, PacingCode, PacingOptions, PacingStatus
from zapwire.store.ports import UnitOfWork, View

ANSWERED: Final = 3600.0
"""Seconds after a message from a chat in which messages to it are answers."""
_MOST: Final = 5000
"""Names of chats that have just written; of more the oldest are forgotten, which only makes answers wait."""


class BotPacing:
    """Times of the event loop are *now*."""

    def __init__(self, bot: BotId, options: PacingOptions, linked_at: datetime | None) -> None:
        self.options = options
        self.linked_at = linked_at
        self._bot = bot
        self._heard: OrderedDict[str, float] = OrderedDict()
        self._rate = Rate()

    def change(self, options: PacingOptions) -> None:
        """Other rules count from now on; places that were taken by the ones before count no more."""
        self.options, self._rate = options, Rate()

    def heard(self, names: Iterable[str], now: float) -> None:
        """The chat of these names has written."""
        if not self.options.messages_per_minute and self.options.quiet_hours is None:
            return  # nobody asks
        for name in names:
            self._heard[name] = now
            self._heard.move_to_end(name)
        while len(self._heard) > _MOST:
            self._heard.popitem(last=False)

    def _is_answer(self, names: Collection[str], now: float) -> bool:
        return any(now - self._heard.get(name, -ANSWERED) < ANSWERED for name in names)

    def is_open(self, name: str, now: float) -> bool:
        """May a message to that chat go at once? Then it has taken its place."""
        options = self.options
        if (not options.messages_per_minute and options.quiet_hours is None) or self._is_answer((name,), now):
            return True
        if rules.quiet_until(options, timestamps.now()) is not None:
            return False
        if not options.messages_per_minute:
            return True
        if self._rate.next_at(options.messages_per_minute, now) > now:
            return False
        self._rate.take(options.messages_per_minute, now)
        return True

    def hold(self, names: Collection[str], now: float, *, has_place: bool) -> Hold | None:
        """Until when, and why, a queued message to the chat of these names waits; None: it may go.

        *has_place*: it waited for its place in the rate, which it has now.
        """
        options = self.options
        if self._is_answer(names, now):
            return None
        if (quiet := rules.quiet(options, timestamps.now())) is not None:
            return quiet
        if not options.messages_per_minute or has_place:
            return None
        wait = self._rate.take(options.messages_per_minute, now) - now
        if wait <= 0:
            return None
        until = timestamps.now() + timedelta(seconds=wait)
        return Hold(PacingCode.RATE, until, f"{options.messages_per_minute} messages a minute are this bot's limit")

    def admit(self, transaction: UnitOfWork, to: Party) -> Hold | None:
        """As part of *transaction*: count a message to *to* that is about to go, if it is the first one to a new chat;
        or the reason why it has to wait.
        """
        options, now = self.options, timestamps.now()
        limit = rules.new_chats_limit(options, self.linked_at, now)
        if limit is None or not to.jid.endswith((f"@{PHONE_SERVER}", f"@{LID_SERVER}")):
            return None
        known, day = transaction.persons.learn(self._bot, to), rules.local_day(options, now)
        chat = known.party.id
        if chat is None or transaction.pacing.is_counted(self._bot, day, chat):
            return None
        if transaction.messages.came_from(self._bot, to.jid) or transaction.outbox.wrote_to(self._bot, known):
            return None
        if transaction.pacing.new_chats(self._bot, day) >= limit:
            return rules.too_many_new_chats(options, limit, now)
        transaction.pacing.count(self._bot, day, chat)
        return None

    def status(self, view: View, now: float) -> PacingStatus:
        """What the bot may do now."""
        options, moment = self.options, timestamps.now()
        next_at = None
        if options.messages_per_minute:
            wait = self._rate.next_at(options.messages_per_minute, now) - now
            next_at = moment + timedelta(seconds=wait) if wait > 0 else None
        return PacingStatus(
            options,
            self.linked_at,
            view.pacing.new_chats(self._bot, rules.local_day(options, moment)),
            rules.new_chats_limit(options, self.linked_at, moment),
            rules.quiet_until(options, moment),
            next_at,
        )
