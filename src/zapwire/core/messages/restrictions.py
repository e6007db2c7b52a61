"""What an account may not send for the moment, as WhatsApp's refusals and announcements tell it.

Three limits are known. 463: no first messages to people who never wrote; answers flow on. The same as a time-lock that
WhatsApp announces with its end. 429: no messages at all for a while. A refused message is not failed: it waits until
the limit may be over. Then one message tries for all, and either everything goes out or the wait doubles. Sources:
whatsmeow send.go (errors of a message's acknowledgement), types/events (the time-lock).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotId, Restriction
from zapwire.model.errors import Restricted

log = logging.getLogger(__name__)

FIRST_MESSAGES = "first-messages"
"""A message to a stranger was refused (463): WhatsApp had no token for a cold contact, or the account may not reach
out; which of both, the refusal does not say.
"""
TIME_LOCK = "time-lock"
"""WhatsApp said that the account may not reach out to strangers, and until when."""
RATE = "rate"
_STRANGERS = frozenset({FIRST_MESSAGES, TIME_LOCK})
"""Those that hold only first messages to new chats."""

_TRIAL = timedelta(seconds=2)
"""How long others wait for the message that tries whether a limit is over; then they look again."""


class RestrictionDetector:
    """The limit on one account; *told* hears of each change."""

    def __init__(
        self, bot: BotId, limits: Tuning, restriction: Restriction | None, told: Callable[[Restriction | None], None]
    ) -> None:
        self._bot = bot
        self._limits = limits
        self._told = told
        self._rounds = 1 if restriction is not None else 0
        self._trial_until: datetime | None = None
        self.restriction = restriction
        """The limit in force, or whose end nobody has tried yet."""

    def asks_who(self) -> bool:
        """Does it matter whether the chat is known?"""
        return self.restriction is not None and self.restriction.kind in _STRANGERS

    def holds(self, *, known: bool) -> datetime | None:
        """Until when a message has to wait; None: send it now, it may be the one that tries for all."""
        limit, now = self.restriction, timestamps.now()
        if limit is None or limit.until is None or (known and limit.kind in _STRANGERS):
            return None
        if now < limit.until:
            return limit.until
        if self._trial_until is not None and now < self._trial_until:
            return self._trial_until
        self._trial_until = now + _TRIAL
        return None

    def next_trial(self) -> datetime | None:
        """When the next message may try whether the limit is over; None: there is none that time ends."""
        limit = self.restriction
        if limit is None or limit.until is None:
            return None
        return limit.until if self._trial_until is None else max(limit.until, self._trial_until)

    def limit(self, *, known: bool) -> Restriction | None:
        """What makes a queued message wait; None: no limit holds it."""
        limit = self.restriction
        if limit is None or limit.until is None or (known and limit.kind in _STRANGERS):
            return None
        return limit

    def announced(self, until: datetime | None) -> None:
        """WhatsApp said until when the account may not reach out to strangers; None: it may again."""
        old = self.restriction
        if until is None or until <= timestamps.now():
            if old is not None and old.kind in _STRANGERS:
                self._rounds = 0
                self._change(None)
            return
        reason = f"WhatsApp does not let this account write to new chats until {until:%Y-%m-%d %H:%M} UTC"
        log.warning("bot %s: %s", self._bot, reason)
        since = old.since if old is not None and old.kind == TIME_LOCK else timestamps.now()
        self._change(Restriction(TIME_LOCK, reason, since, until, 463))

    def refused(self, error: Restricted) -> datetime:
        """WhatsApp gave this answer to a message; returns until when it has to wait."""
        kind, now, limits = FIRST_MESSAGES if error.strangers else RATE, timestamps.now(), self._limits
        old = self.restriction
        same = old is not None and (old.kind == kind or (error.strangers and old.kind == TIME_LOCK))
        if old is not None and same and old.until is not None and now < old.until:
            return old.until  # was under way when the limit came
        self._rounds = self._rounds + 1 if old is not None and old.kind == kind else 1
        first, most = (
            (limits.strangers_first, limits.strangers_most)
            if error.strangers
            else (limits.rate_first, limits.rate_most)
        )
        until = now + timedelta(seconds=min(first * 2.0 ** (self._rounds - 1), most))
        since = old.since if old is not None and old.kind == kind else now
        log.warning("bot %s: %s", self._bot, error.detail)
        self._change(Restriction(kind, error.detail, since, until, error.error))
        return until

    def passed(self, *, known: bool) -> None:
        """WhatsApp took a message: is a limit over?"""
        limit = self.restriction
        if limit is None or (limit.kind in _STRANGERS and known):
            return
        if limit.until is not None and timestamps.now() < limit.until:
            return  # was under way when the limit came
        self._rounds = 0
        self._change(None)

    def forget(self) -> None:
        """Another account comes."""
        self.restriction, self._rounds, self._trial_until = None, 0, None

    def _change(self, restriction: Restriction | None) -> None:
        self._trial_until = None
        self.restriction = restriction
        self._told(restriction)
