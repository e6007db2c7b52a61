"""What a bot is doing, in words: how failures and orders become a state, a reason and what a person should do."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from zapwire.core.tuning import Tuning
from zapwire.model import timestamps
from zapwire.model.bots import BotRow, BotState
from zapwire.model.errors import (
    Condition,
    Conflict,
    LoggedOut,
    NeedsPerson,
    PairingTimedOut,
    TransportError,
)
from zapwire.model.pairing import PairingStage, PairingStep

HALTED = frozenset({BotState.PAIRING_TIMED_OUT, BotState.LOGGED_OUT, BotState.BLOCKED})
"""States that a person ends, or (with `next_attempt_at`) time."""

_SCAN = "scan the QR code with WhatsApp on the phone: Linked devices, Link a device"

LOGGING_OUT = "logging out"
"""The reason while a logout is under way."""

_NO_PAIRING = {
    BotState.CONNECTED: "the bot is connected already; log it out first to link another account",
    BotState.RECONNECTING: "the bot is linked and reconnecting by itself; log it out first to link another account",
    BotState.STOPPED: "the bot is not started: connect it first",
    BotState.PAIRING_TIMED_OUT: "pairing timed out: connect the bot or refresh the QR code to start over",
    BotState.LOGGED_OUT: "the bot is logged out: connect it to pair again",
}


@dataclass(frozen=True, slots=True)
class Status:
    """The observed half of a bot."""

    state: BotState
    reason: str | None = None
    action: str | None = None
    next_attempt_at: datetime | None = None
    code: str | None = None
    """An `errors.Condition`, or None when nothing is the matter."""
    cause: str | None = None
    """The reason without what changes at each attempt, where that differs."""
    pairing: PairingStage | None = field(default=None, compare=False)
    """How far a pairing is. Its step changes the words as well, so the history compares only those."""

    @property
    def is_at_passkey(self) -> bool:
        """Has WhatsApp asked for a passkey, in a pairing that is under way?"""
        return self.pairing is not None and self.pairing.step is not PairingStep.SCAN


def at_start(row: BotRow) -> Status:
    """The state of a bot when the daemon starts."""
    if row.halt is not None:
        until = row.halt.until if row.starts else None  # nobody waits for the end of it with a bot that is stopped
        return Status(row.halt.state, row.halt.reason, row.halt.action, until, row.halt.code)
    if row.starts:
        return Status(BotState.STARTING)
    return Status(BotState.STOPPED, LOGGING_OUT if row.unlinking else None)


def halted(error: NeedsPerson) -> Status:
    """The state that an error leaves, which only a person can end, or time when it says until when."""
    code = error.condition.value
    if isinstance(error, PairingTimedOut):
        return Status(BotState.PAIRING_TIMED_OUT, "pairing timed out", error.action, code=code)
    state = BotState.LOGGED_OUT if isinstance(error, LoggedOut) else BotState.BLOCKED
    return Status(state, error.detail, error.action, error.until, code)


def scanning(now: Status, expires_at: datetime, *, lost: bool) -> Status:
    """The state while a QR code is shown, which follows *now*; *lost*: the bot was linked, and has to be again.

    What the pairing said about scanning stays said over the codes that follow each other.
    """
    stage = PairingStage(PairingStep.SCAN, expires_at)
    if lost:
        reason = "its auth state is gone, so it has to be paired again; waits for a phone"
        return Status(BotState.PAIRING, reason, _SCAN, code=Condition.AUTH_DAMAGED.value, pairing=stage)
    if now.state is BotState.PAIRING and now.pairing is not None and now.pairing.step is PairingStep.SCAN:
        return replace(now, pairing=stage)
    return Status(BotState.PAIRING, "waits for a phone", _SCAN, pairing=stage)


def moved_away() -> Status:
    """The state of a bot that left for another installation."""
    return Status(
        BotState.STOPPED,
        "moved to another installation",
        "delete the bot here once it runs there; to have it back, import its bundle here",
        code=Condition.MOVED.value,
    )


def logged_out(*, told: bool) -> Status:
    """The state after a person logged the bot out here; *told*: WhatsApp knows of it."""
    code = Condition.LOGGED_OUT.value
    if told:
        return Status(BotState.LOGGED_OUT, "logged out on request", "connect the bot to pair it again", code=code)
    return Status(
        BotState.LOGGED_OUT,
        "logged out on request, but WhatsApp could not be notified",
        "remove this device on the phone under Linked devices; connect the bot to pair it again",
        code=code,
    )


def logging_out(why: str, delay: float, until: datetime, *, stopped: bool) -> Status:
    """The state while WhatsApp cannot be notified of a logout, which is retried in *delay* seconds, *until* then."""
    moment = timestamps.now() + timedelta(seconds=delay)
    cause = f"logging out: WhatsApp could not be notified yet ({why})"
    return Status(
        BotState.STOPPED if stopped else BotState.RECONNECTING,
        f"{cause}; next attempt in {max(1, round(delay))} s, at {moment:%H:%M:%S} UTC",
        f"nothing: it is retried until {until:%Y-%m-%d %H:%M} UTC. Log the bot out with force to destroy its auth "
        "state now; the phone will list the device until it is removed there under Linked devices",
        moment,
        Condition.LOGGING_OUT.value,
        cause,
    )


def retrying(error: TransportError, delay: float) -> Status:
    """The state between two attempts, *delay* seconds apart."""
    moment = timestamps.now() + timedelta(seconds=delay)
    reason = f"{error.detail}; next attempt in {max(1, round(delay))} s, at {moment:%H:%M:%S} UTC"
    return _reconnecting(error, reason, moment)


def spoken_for(error: TransportError, delay: float) -> Status:
    """The state of a bot that waits for what another one finds, for *delay* seconds at most."""
    reason = f"{error.detail}, as for other bots: one of them tries for all"
    return _reconnecting(error, reason, timestamps.now() + timedelta(seconds=delay))


def _reconnecting(error: TransportError, reason: str, moment: datetime) -> Status:
    return Status(BotState.RECONNECTING, reason, next_attempt_at=moment, code=error.condition.value, cause=error.detail)


def mended_by_transport(reason: str, code: str, *, was_online: bool) -> Status:
    """The state of a connection that the transport mends by itself; when it tries next is not known here."""
    if not was_online:
        return Status(BotState.RECONNECTING, reason, code=code)
    how = "the engine retries by itself: at once, then after 2, 4, 6 s and so on"
    return Status(BotState.RECONNECTING, f"{reason}; {how}", code=code, cause=reason)


def unanswered(failures: int) -> Status:
    """The state of a connection on which WhatsApp does not answer any more."""
    reason = f"WhatsApp did not answer the last {failures} probes"
    action = "nothing yet: the bot reconnects by itself after the next one"
    cause = "WhatsApp does not answer probes"
    return Status(BotState.CONNECTED, reason, action, code=Condition.SILENT.value, cause=cause)


def backoff(failures: int, limits: Tuning, chance: random.Random) -> float:
    """Seconds before attempt number *failures* + 1."""
    doubled = limits.backoff_first * 2.0 ** min(failures - 1, 30)
    return min(doubled, limits.backoff_most) * chance.uniform(1 - limits.jitter, 1 + limits.jitter)


def no_sends(row: BotRow, status: Status) -> LoggedOut | None:
    """Why no message is taken for the bot: the account that would send it is gone, and the next one is another."""
    if row.unlinking is not None:
        return LoggedOut("the bot is being logged out", action="send again once it is paired again")
    if status.state is BotState.LOGGED_OUT:
        return LoggedOut("the bot is logged out", action=status.action or "connect the bot to pair it again")
    return None


def no_pairing(status: Status, *, linked: bool) -> Conflict | None:
    """Why nothing is paired in this state, and will not be; None when waiting for it makes sense."""
    if status.state is BotState.BLOCKED:
        return Conflict(f"the bot is blocked: {status.reason}; {status.action}")
    if status.state in {BotState.STARTING, BotState.PAIRING}:
        return None
    if status.state is BotState.RECONNECTING and not linked:
        return None
    return Conflict(_NO_PAIRING[status.state])


def no_scan(status: Status) -> Conflict | None:
    """Why a pairing that is under way shows no code to scan or to type any more; None when it may."""
    if not status.is_at_passkey:
        return None
    action = f"; {status.action}" if status.action else ""
    return Conflict(f"a phone has taken the code already: {status.reason}{action}")
