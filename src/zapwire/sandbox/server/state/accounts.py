"""Accounts and their devices: what the server knows of everybody."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from zapwire.sandbox.server.state.mailbox import Mailbox
from zapwire.sandbox.server.state.passkey import PasskeyRule, PublicPasskey
from zapwire.wire.node import MAX_DEVICE, Node, WireJid

PHONE_SERVER: Final = "s.whatsapp.net"
LID_SERVER: Final = "lid"
PHONE_SERVERS: Final = frozenset({PHONE_SERVER, "c.us"})


_FORMATTING: Final = re.compile(r"[\s+().-]")


def digits_of(number: str) -> str:
    """A phone number as people write it, without the plus sign, blanks, brackets and dashes."""
    return _FORMATTING.sub("", number)


class UnknownDevice(LookupError):
    """The account has no device of this number (any more)."""


class DeviceEndpoint(Protocol):
    """Anything that plays one device: a client's socket, or a virtual phone."""

    async def deliver(self, node: Node) -> None:
        """Take a stanza from the server; returns soon, raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class UploadedSignedPreKey:
    """A device's medium-term Signal key."""

    number: int
    public: bytes
    signature: bytes


@dataclass(slots=True)
class KeyBundle:
    """The public Signal keys that a device has uploaded."""

    registration_id: int
    identity: bytes
    signed_prekey: UploadedSignedPreKey
    one_time: dict[int, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class AccountDevice:
    """One device of an account; number 0 is the phone."""

    number: int
    key_index: int = 0
    keys: KeyBundle | None = None
    device_identity: bytes = b""
    noise_public: bytes = b""
    mailbox: Mailbox = field(default_factory=Mailbox)
    endpoint: DeviceEndpoint | None = None
    available: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A profile or group picture."""

    number: str
    data: bytes


@dataclass(slots=True)
class Account:
    """A phone number that is on WhatsApp."""

    phone: str
    lid: str
    push_name: str = ""
    devices: dict[int, AccountDevice] = field(default_factory=dict)
    about: str = ""
    about_time: int = 0
    picture: Picture | None = None
    blocked: list[str] = field(default_factory=list)
    privacy: dict[str, str] = field(default_factory=dict)
    last_seen: int = 0
    last_device: int = 0
    key_indexes: bytes = b""
    """The phone's signed list of the key indexes of its companions (ADVSignedKeyIndexList); empty before the first."""
    key_indexes_time: int = 0
    seen_by: set[str] = field(default_factory=set)
    """LIDs of the accounts that asked for this one's devices, and have them cached."""
    passkey: PublicPasskey | None = None
    passkey_rule: PasskeyRule = field(default_factory=PasskeyRule)
    presence_to: dict[str, WireJid] = field(default_factory=dict)
    """LIDs of the accounts that subscribed to this one's presence, with the address under which they know it."""

    @property
    def phone_jid(self) -> WireJid:
        """The phone number as an address."""
        return WireJid(self.phone, PHONE_SERVER)

    @property
    def lid_jid(self) -> WireJid:
        """The LID as an address."""
        return WireJid(self.lid, LID_SERVER)

    @property
    def online(self) -> bool:
        """Is one of the devices connected and marked available?"""
        return any(device.endpoint and device.available for device in self.devices.values())

    def blocks(self, other: Account) -> bool:
        """Is *other* on this account's blocklist?"""
        return other.lid in self.blocked

    def new_device_number(self) -> int:
        """The number of the next companion; numbers of removed ones come back only after all others."""
        free = [number for number in range(1, MAX_DEVICE + 1) if number not in self.devices]
        return next((number for number in free if number > self.last_device), free[0])


_TWO_FORMS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(55[1-9]{2})(9?)([0-9]{8})",  # Brazil: mobile numbers have got a ninth digit
        r"(52)(1?)([0-9]{10})",  # Mexico: mobile numbers have lost the 1
        r"(54)(9?)([0-9]{10})",  # Argentina: mobile numbers have a 9 when they are called from abroad
    )
)
_DIGIT: Final = {"55": "9", "52": "1", "54": "9"}


def _forms(number: str) -> Iterator[str]:
    """*number*, and the other form of it in a country where a digit came or went."""
    yield number
    for pattern in _TWO_FORMS:
        if match := pattern.fullmatch(number):
            yield match[1] + ("" if match[2] else _DIGIT[number[:2]]) + match[3]


class Directory:
    """All accounts, found by phone number or LID."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self._by_lid: dict[str, Account] = {}

    def create(self, phone: str, push_name: str = "") -> Account:
        """A new account with its phone as device 0; raises ValueError when the number is none or is taken."""
        if not phone.isdecimal() or not 5 <= len(phone) <= 15:
            raise ValueError("a phone number is 5 to 15 digits")
        if phone in self.accounts:
            raise ValueError("this phone number has an account already")
        account = Account(phone, self._new_lid(phone), push_name, last_seen=int(time.time()))
        account.devices[0] = AccountDevice(0)
        self.add(account)
        return account

    def add(self, account: Account) -> None:
        """Take in an account that was saved."""
        self.accounts[account.phone] = account
        self._by_lid[account.lid] = account

    def find(self, jid: WireJid) -> Account | None:
        """The account behind a phone number or LID, whatever the device."""
        if jid.server == LID_SERVER:
            return self._by_lid.get(jid.user)
        return self.accounts.get(jid.user.removeprefix("+")) if jid.server in PHONE_SERVERS else None

    def by_number(self, number: str) -> Account | None:
        """The account that a person means who types this number, in either form that its country has."""
        return next((self.accounts[form] for form in _forms(number) if form in self.accounts), None)

    def by_lid(self, lid: str) -> Account | None:
        """The account of a LID's user part."""
        return self._by_lid.get(lid)

    def __iter__(self) -> Iterator[Account]:
        return iter(list(self.accounts.values()))

    def _new_lid(self, phone: str) -> str:
        # The same number gets the same LID in every sandbox, which makes logs of two runs comparable.
        digest = hashlib.sha256(b"lid" + phone.encode()).digest()
        number = 10**14 + int.from_bytes(digest[:8], "big") % 10**14
        while str(number) in self._by_lid:
            number += 1
        return str(number)
