"""Counts what the journal tells: messages, states, pairings. It reads along like any other follower.

So nothing that happens has to be counted where it happens, and figures and events cannot disagree.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

from zapwire.core.events.subscriptions import Subscriber, Subscriptions
from zapwire.model.bots import BotState
from zapwire.model.errors import StoreError
from zapwire.model.events import Event, EventType
from zapwire.model.messages import MessageState
from zapwire.model.pairing import PairingStep
from zapwire.runtime.instruments import Rate, Timing
from zapwire.runtime.log_rate_limit import LogLimit
from zapwire.runtime.tasks import spawn, supervise

log = logging.getLogger(__name__)

AGAIN: Final = 5.0
"""Seconds until the journal is read on after the database failed."""
_ON_THE_WAY: Final = frozenset({BotState.STARTING, BotState.PAIRING})
_PAIRING_LASTS: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 180.0)
_LOST_PAIRINGS: Final = {
    BotState.PAIRING_TIMED_OUT: "timed_out",
    BotState.STOPPED: "cancelled",
    BotState.RECONNECTING: "interrupted",
}
"""Why a pairing ended without a scan, by the state that followed; any other state is "refused"."""


@dataclass(slots=True)
class Messages:
    """What went in and out, of one bot or of all."""

    received: Rate = field(default_factory=Rate)
    sent: Rate = field(default_factory=Rate)
    """Taken by WhatsApp."""
    failed: int = 0
    unknown: int = 0
    reconnects: int = 0
    """How often a connection was lost."""


@dataclass(slots=True)
class PairingCounters:
    """How linking phones goes."""

    codes: Counter[str] = field(default_factory=Counter)
    """Shown so far, by kind: `qr` or `text`."""
    expired: int = 0
    """QR codes that nobody took in time."""
    scans: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    """By reason: timed_out, cancelled, interrupted, refused."""
    refusals: Counter[str] = field(default_factory=Counter)
    """Those that were refused, by the `code` of the bot: banned, outdated, passkey, ..."""
    passkey_steps: Counter[str] = field(default_factory=Counter)
    """Steps of pairings with a passkey that were reached: passkey, phone, compare, and linked at the end."""
    to_linked: Timing = field(default_factory=lambda: Timing(_PAIRING_LASTS))
    """From WhatsApp's question for a passkey to the link."""
    to_qr: Timing = field(default_factory=lambda: Timing(_PAIRING_LASTS))
    """From the start to the first QR code."""
    to_connected: Timing = field(default_factory=lambda: Timing(_PAIRING_LASTS))
    """From the scan to connected."""


@dataclass(slots=True)
class _Seen:
    """What was last reported of one bot."""

    state: str = ""
    started_at: datetime | None = None
    scanned_at: datetime | None = None
    passkey_at: datetime | None = None
    """When the present pairing was asked for a passkey."""


class Counters:
    """Counts since the daemon's start; an async context manager."""

    def __init__(self, live: Subscriptions) -> None:
        self._live = live
        self.all = Messages()
        self.bots: dict[str, Messages] = {}
        self.received: Counter[str] = Counter()
        """By type of message."""
        self.outcomes: Counter[str] = Counter()
        """Steps of outgoing messages: sent, delivered, read, played, failed, unknown."""
        self.send_seconds = Timing()
        """From the submission of a message to WhatsApp's answer."""
        self.pairings = PairingCounters()
        self._seen: dict[str, _Seen] = {}
        self._log = LogLimit(log)

    async def __aenter__(self) -> Self:
        events = self._live.follower()
        self._task = spawn(supervise("the tally", partial(self._follow, events), first=AGAIN), "tally")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def keep(self, bots: AbstractSet[str]) -> None:
        """Drop what is known of all others: they are deleted."""
        for bot in self._seen.keys() - bots:
            del self._seen[bot]
        for bot in self.bots.keys() - bots:
            del self.bots[bot]

    def pairing_code_shown(self) -> None:
        """Somebody got a code to type: the journal does not tell."""
        self.pairings.codes["text"] += 1

    def take(self, event: Event) -> None:
        """Count one event."""
        match event.type:
            case (
                EventType.MESSAGE_RECEIVED
                | EventType.MESSAGE_EDITED
                | EventType.MESSAGE_DELETED
                | EventType.MESSAGE_REACTION
                | EventType.POLL_VOTED
            ):
                self.received[event.data["type"]] += 1
                self.all.received.add()
                self._of(event.bot).received.add()
            case EventType.MESSAGE_STATUS:
                self._step(event)
            case EventType.BOT_QR:
                self.pairings.codes["qr"] += 1
                self.pairings.expired += event.data["attempt"] > 1
                seen = self._seen.setdefault(event.bot, _Seen())
                if event.data["attempt"] == 1 and seen.started_at is not None:
                    self.pairings.to_qr.add((event.timestamp - seen.started_at).total_seconds())
                    seen.started_at = None
            case EventType.BOT_PASSKEY:
                self._passkey(event)
            case EventType.BOT_STATE:
                self._state(event, event.data)

    async def _follow(self, events: Subscriber) -> None:
        while True:
            try:
                batch = await events.batch()
            except StoreError as error:
                log.warning("the counters wait for the database: %s", error)
                await asyncio.sleep(AGAIN)
                continue
            for event in batch:
                if isinstance(event, Event):
                    self._take(event)

    def _take(self, event: Event) -> None:
        try:
            self.take(event)
        except Exception:  # noqa: BLE001 - it is logged, with its traceback
            self._log.log(
                logging.ERROR, event.type, "event %d (%s) cannot be counted", event.seq, event.type, exc_info=True
            )

    def _of(self, bot: str) -> Messages:
        found = self.bots.get(bot)
        if found is None:
            found = self.bots[bot] = Messages()
        return found

    def _step(self, event: Event) -> None:
        state, bot = event.data["state"], self._of(event.bot)
        if state in {MessageState.QUEUED, MessageState.SENDING}:
            return
        self.outcomes[state] += 1
        if state == MessageState.SENT:
            self.all.sent.add()
            bot.sent.add()
            created = datetime.fromisoformat(event.data["created_at"])
            self.send_seconds.add((event.timestamp - created).total_seconds())
        elif state in {MessageState.FAILED, MessageState.EXPIRED}:
            self.all.failed += 1
            bot.failed += 1
        elif state == MessageState.UNKNOWN:
            self.all.unknown += 1
            bot.unknown += 1

    def _state(self, event: Event, data: dict[str, Any]) -> None:
        state, seen = data["state"], self._seen.setdefault(event.bot, _Seen())
        before, seen.state = seen.state, state
        if state == before:
            return
        linked = data["phone"] is not None or data["lid"] is not None
        if before == BotState.CONNECTED and state == BotState.RECONNECTING:
            self.all.reconnects += 1
            self._of(event.bot).reconnects += 1
        if state == BotState.STARTING and not linked:
            seen.started_at = event.timestamp
        if before == BotState.PAIRING:
            self._pairing_ended(event, seen, scanned=state in _ON_THE_WAY and linked)
        elif state == BotState.CONNECTED and seen.scanned_at is not None:
            self.pairings.to_connected.add((event.timestamp - seen.scanned_at).total_seconds())
        if state not in _ON_THE_WAY:
            seen.started_at = seen.scanned_at = None

    def _passkey(self, event: Event) -> None:
        step, seen = event.data["step"], self._seen.setdefault(event.bot, _Seen())
        self.pairings.passkey_steps[step] += 1
        if step == PairingStep.PASSKEY:
            seen.passkey_at = event.timestamp

    def _pairing_ended(self, event: Event, seen: _Seen, *, scanned: bool) -> None:
        if scanned:
            self.pairings.scans += 1
            seen.scanned_at = event.timestamp
            if seen.passkey_at is not None:
                self.pairings.passkey_steps["linked"] += 1
                self.pairings.to_linked.add((event.timestamp - seen.passkey_at).total_seconds())
        elif seen.state != BotState.STARTING:  # one that starts over has not failed yet
            reason = _LOST_PAIRINGS.get(BotState(seen.state), "refused")
            self.pairings.failures[reason] += 1
            self.pairings.expired += reason == "timed_out"
            if reason == "refused":
                self.pairings.refusals[event.data["code"] or "refused"] += 1
        seen.passkey_at = None
