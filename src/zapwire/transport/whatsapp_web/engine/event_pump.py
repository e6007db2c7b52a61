"""What is done when the engine's event pump ended on an event that it could not encode (docs/engine.md's E6).

Any stranger can bring that about: a receipt of a type that neonize does not know has an empty required field. So it is
no failure of the bot's: the client is started again at once, and nobody's backoff grows. Whoever does it again gets
the bot's receipts switched off for a while, longer each time, and with them the way to do it: then messages keep
coming, while what was sent stays `sent` until receipts are taken again.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from typing import Final

from zapwire.model.errors import Condition, Interrupted, TransportError
from zapwire.transport.protocol import Troubled
from zapwire.transport.whatsapp_web.engine import event_codes

log = logging.getLogger(__name__)

REMEMBERED: Final = 3600.0
"""Seconds without another end after which the last one is forgotten; counted from when receipts are taken again."""
FIRST_REST: Final = 600.0
LONGEST_REST: Final = 6 * 3600.0
"""Seconds for which no receipts are taken: the first time, doubled from time to time up to the longest."""
NO_RECEIPTS: Final = Troubled(
    "somebody sends it receipts that the engine cannot tell: for a while nobody hears whether its messages arrived",
    "None: receipts are retried by themselves.",
    Condition.RECEIPTS,
)
"""Told while they are switched off."""
_ON_A_RECEIPT: Final = re.compile(r"proto: required field neonize\.Receipt\.\w+ not set")


class PumpEnded(TransportError):
    """The engine tells nothing any more; *said* is how its call ended."""

    def __init__(self, said: str) -> None:
        super().__init__(f"the engine stopped telling events ({said or 'without a reason'})")
        self.said = said


class EventPump:
    """How it stands with one bot's receipts; kept over its sessions."""

    def __init__(self, bot: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._bot = bot
        self._clock = clock
        self._rests = 0
        """How often in a row receipts had to be switched off, or would be next."""
        self._ended_at: float | None = None
        self._off_until = 0.0

    def judge(self, ended: PumpEnded) -> TransportError:
        """What the end of a session means for the bot."""
        if not _ON_A_RECEIPT.fullmatch(ended.said) or not self.takes_receipts:
            return ended
        now = self._clock()
        since = max(self._ended_at or 0.0, self._off_until)
        again = self._ended_at is not None and now - since < REMEMBERED
        self._ended_at = now
        if not again:
            self._rests = 0
            log.warning("bot %s: somebody sent a receipt of an unknown type: its connection is made again", self._bot)
            return Interrupted("somebody sent a receipt that the engine cannot tell")
        rest = min(FIRST_REST * 2**self._rests, LONGEST_REST)
        self._rests += 1
        self._off_until = now + rest
        log.warning("bot %s: somebody sends receipts of an unknown type: no receipts are taken for %d minutes",
                    self._bot, rest // 60)  # fmt: skip
        return Interrupted("somebody sends receipts that the engine cannot tell; none are taken for a while")

    @property
    def takes_receipts(self) -> bool:
        """May the next session have them?"""
        return self._clock() >= self._off_until

    @property
    def subscribed(self) -> bytes:
        """The codes of the events that the next session is to have."""
        return event_codes.SUBSCRIBED if self.takes_receipts else event_codes.WITHOUT_RECEIPTS
