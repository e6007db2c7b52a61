"""What a pairing shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from zapwire.model.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class QrCode:
    """One QR code of a pairing; a new one follows when it expires."""

    code: str
    expires_at: datetime
    attempt: int
    """1 for the first code since pairing began."""


@dataclass(frozen=True, slots=True)
class PairingCode:
    """The code to type on the phone under "Link with phone number"."""

    code: str
    """`ABCD-EFGH`."""
    expires_at: datetime


class PairingStep(StrEnum):
    """What a pairing waits for."""

    SCAN = "scan"
    """The phone has to scan the QR code, or its owner to type the pairing code there."""
    PASSKEY = "passkey"
    """WhatsApp asks for the account's passkey; a browser has to answer."""
    PHONE = "phone"
    """The passkey was accepted; the phone has to finish the pairing, and may show the verification code."""
    COMPARE = "compare"
    """A person has to say whether the phone shows the same verification code."""


@dataclass(frozen=True, slots=True)
class PairingStage:
    """How far a pairing is, as a bot shows it."""

    step: PairingStep
    expires_at: datetime = field(compare=False)
    """When the code or the challenge of this step expires; no part of what makes two bots differ."""


@dataclass(frozen=True, slots=True)
class PasskeyChallenge:
    """The question that WhatsApp asks the account's passkey."""

    question: Mapping[str, Any]
    """WebAuthn's PublicKeyCredentialRequestOptions as JSON, as WhatsApp sent them. Secret: never logged or stored."""
    origin: str
    """The page that the answer has to come from."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class VerificationCode:
    """The code that both sides of a pairing with a passkey show; equal when nobody is in between."""

    code: str
    """`XXXX-XXXX`."""
    needed: bool
    """The pairing waits until a person has confirmed it; else the code is only shown."""
    expires_at: datetime


PLATFORMS: Final = (
    *("chrome", "firefox", "ie", "opera", "safari", "edge", "desktop", "ipad", "android_tablet", "ohana", "aloha"),
    *("catalina", "tcl_tv", "ios_phone", "ios_catalyst", "android_phone", "android_ambiguous", "wear_os", "ar_wrist"),
    *("ar_device", "uwp", "vr", "cloud_api", "smartglasses"),
)
"""WhatsApp's kinds of linked devices (`DeviceProps.PlatformType`)."""
DEVICE_NAME_LONGEST: Final = 50
TIMEOUTS: Final = (20.0, 3600.0)
"""Seconds: the shortest and the longest that a pairing may be given."""


@dataclass(frozen=True, slots=True)
class PairingOptions:
    """How a bot presents itself when it is paired, and for how long it may take; None: as the settings say."""

    device_name: str | None = None
    """What the phone lists under Linked devices."""
    platform: str | None = None
    """The kind of program that the phone shows beside it; one of `PLATFORMS`."""
    full_history: bool | None = None
    """Ask the phone for as much history as it has, not only for the recent part."""
    timeout: float | None = None
    """Seconds after which the pairing ends; None and no setting: when WhatsApp's own codes are used up."""

    def checked(self) -> PairingOptions:
        """These, without space around the name. Raises `InvalidInput`, whose field begins with `pairing_options.`"""
        name = None if self.device_name is None else self.device_name.strip()
        if name is not None and not (0 < len(name) <= DEVICE_NAME_LONGEST and name.isprintable()):
            raise _wrong("device_name", f"1 to {DEVICE_NAME_LONGEST} printable characters")
        if self.platform is not None and self.platform not in PLATFORMS:
            raise _wrong("platform", f"must be one of {', '.join(PLATFORMS)}")
        shortest, longest = TIMEOUTS
        if self.timeout is not None and not shortest <= self.timeout <= longest:
            raise _wrong("timeout", f"{shortest:g} to {longest:g} seconds")
        return replace(self, device_name=name)

    def over(self, others: PairingOptions) -> PairingOptions:
        """These, and those of *others* where there is none here."""
        mine = {name: value for name in self.__slots__ if (value := getattr(self, name)) is not None}
        return replace(others, **mine)


DEFAULTS: Final = PairingOptions()
"""As the settings say, all of them."""


def _wrong(field: str, detail: str) -> InvalidInput:
    return InvalidInput(detail, field=f"pairing_options.{field}")
