"""Why a connection ended that does not come back by itself, in words and policies of ours.

Sources: whatsmeow, types/events (`ConnectFailureReason`, `TempBanReason`) and connectionevents.go.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from zapwire.model.errors import Blocked, Condition, LoggedOut, TransportError, ZapwireError
from zapwire.transport.whatsapp_web.engine import event_codes

PAIR_AGAIN: Final = "Connect the bot and scan the new QR code with the phone."
SEE_PHONE: Final = "Look at WhatsApp on the phone; when it works there, connect the bot and scan the new QR code."
"""For an account whose device the engine has deleted."""
SEE_PHONE_ONLY: Final = "Look at WhatsApp on the phone; connect the bot when it works there."
"""For one that is still linked: no QR code will come."""

_BAN_MARGIN: Final = 5
"""Seconds after the end of a ban until it is tried whether it is over."""
_LONGEST_BAN: Final = 10 * 365 * 86400
"""Seconds; what claims to last longer has no end that could be waited for."""
_BANS: Final = {
    101: "it sent too many messages to people who do not have it in their address books",
    102: "too many people blocked it",
    103: "it created too many groups with people who do not have it in their address books",
    104: "it sent the same message to too many people",
    106: "it sent too many messages to a broadcast list",
}


class LogoutClaimed(TransportError):
    """A log line says that WhatsApp logged this device out, and nothing else has confirmed that yet.

    Nobody destroys auth state for it: as it is, it is a connection that ended, and the next login decides. *logout* is
    what it means once the engine has told the event as well, or has deleted the device.
    """

    def __init__(self, logout: LoggedOut) -> None:
        super().__init__("WhatsApp ended the connection, perhaps for good", condition=Condition.LOST)
        self.logout = logout


def from_event(code: int) -> ZapwireError:
    """The end of a connection that one of the events `codes.ENDS` announces; the log line mostly was first."""
    if code == event_codes.STREAM_REPLACED:
        return replaced()
    if code == event_codes.CLIENT_OUTDATED:
        return outdated()
    return logged_out(401)


def removed() -> LoggedOut:
    """The owner removed the device on the phone."""
    return LoggedOut("the phone removed this device from its linked devices", action=PAIR_AGAIN)


def logged_out(reason: int) -> LoggedOut:
    """WhatsApp answered a login with the failure *reason*, after which the engine deletes the device."""
    if reason == 403:
        detail = "WhatsApp locked this account or its phone was logged out"
        return LoggedOut(detail, action=SEE_PHONE, condition=Condition.LOCKED)
    if reason == 406:
        detail = "WhatsApp logged this device out, probably because the account is banned"
        return LoggedOut(detail, action=SEE_PHONE, condition=Condition.BANNED)
    return LoggedOut("WhatsApp logged this device out", action=PAIR_AGAIN)


def replaced() -> Blocked:
    """Another program logged in as this device."""
    detail = "another program connected with this bot's session"
    action = "Stop the other program, then connect the bot again."
    return Blocked(detail, action=action, condition=Condition.REPLACED)


def outdated() -> Blocked:
    """Failure 405."""
    detail = "WhatsApp no longer accepts this version of the client"
    action = "Update zapwire, or let it announce the newest version: set whatsapp_version to auto."
    return Blocked(detail, action=action, condition=Condition.OUTDATED)


def banned(code: int, seconds: int) -> Blocked:
    """Failure 402; *seconds* it lasts, 0 when WhatsApp does not say."""
    why = _BANS.get(code, "the reason given is unknown")
    if not 0 < seconds <= _LONGEST_BAN:
        return Blocked(f"WhatsApp banned this account: {why}", action=SEE_PHONE_ONLY, condition=Condition.BANNED)
    return Blocked(
        f"WhatsApp banned this account for {timedelta(seconds=seconds)}: {why}",
        action="Wait: the bot connects again by itself when the ban is over.",
        condition=Condition.BANNED,
        until=datetime.now(UTC) + timedelta(seconds=seconds + _BAN_MARGIN),
    )


def refused(reason: str) -> ZapwireError:
    """Any other failure that a login was answered with."""
    if reason.startswith("5") or reason == "429":
        return busy(reason)
    if reason == "463":
        detail = "WhatsApp locked this account (failure 463)"
        return Blocked(detail, action=SEE_PHONE_ONLY, condition=Condition.LOCKED)
    if reason == "428":
        # Users report it of accounts that are asked for a passkey; linking them again did not help.
        detail = "WhatsApp refuses this account's linked devices (failure 428)"
        return Blocked(detail, action=f"{SEE_PHONE_ONLY} Linking it again has not helped others.")
    detail = f"WhatsApp refused the connection (failure {reason})"
    return Blocked(detail, action="Connect the bot again; if that does not help, log it out and pair it again.")


def busy(reason: str) -> TransportError:
    """WhatsApp turns connections away for the moment."""
    detail = f"WhatsApp cannot take the connection at the moment (failure {reason})"
    return TransportError(detail, condition=Condition.BUSY)


def doomed(reason: str) -> Blocked:
    """Why a bot is not connected whose login ended the last process (docs/engine.md's E22)."""
    detail = f"WhatsApp refused the connection in a way that ended the whole daemon (failure {reason})"
    action = (
        "Log the bot out and pair it again. To connect it again may end the daemon once more; it starts by itself then."
    )
    return Blocked(detail, action=action)
