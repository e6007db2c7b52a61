"""What each way to pair is to who runs it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Protocol

from zapwire.model.errors import Blocked, Condition, PairingTimedOut, TransportError
from zapwire.model.pairing import PairingCode
from zapwire.transport.protocol import Emit

FIRST_QR_LASTS: Final = 60.0
NEXT_QR_LASTS: Final = 20.0
"""Seconds (whatsmeow, qrchan.go)."""
PAIRING_LASTS: Final = timedelta(seconds=160)
"""The server closes a pairing connection when its six codes are used up; a pairing code lives no longer."""
FIRST_QR_DEADLINE: Final = 40.0
DISPLAY_NAME: Final = "Chrome (Linux)"
CLIENT_CHROME: Final = 1
"""Who asks for a pairing code: the server knows some browsers and systems, and refuses all others (pair-code.go)."""


def nobody_scanned() -> PairingTimedOut:
    """The codes are used up."""
    return PairingTimedOut("nobody scanned a QR code", action="Connect the bot to get new codes.")


def lost() -> TransportError:
    """The connection broke meanwhile."""
    return TransportError("the connection to WhatsApp was lost while pairing", condition=Condition.LOST)


def without_multidevice() -> Blocked:
    """The phone is too old for linked devices."""
    return Blocked(
        "the phone has multi-device switched off",
        action="Update WhatsApp on the phone, then connect the bot again.",
        condition=Condition.REFUSED,
    )


class Attempt(Protocol):
    """One attempt to pair one bot: `run` once, the rest meanwhile."""

    async def run(self, emit: Emit) -> None:
        """Show codes through *emit* until a phone has paired; then the auth file holds the device.

        Raises `PairingTimedOut`, `TransportError`, or what the server refused with. Cancelling ends the attempt.
        """

    async def code(self, phone: str) -> PairingCode:
        """Ask for a code for *phone* (E.164).

        Raises `Conflict` when the attempt is over, `Refused` when WhatsApp does not take the number, `TransportError`.
        """
