"""All virtual phones of a sandbox."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from typing import Any, Final

from pydantic import BaseModel

from zapwire.sandbox.phones.app_state import AppStateKey
from zapwire.sandbox.phones.authenticator import Authenticator
from zapwire.sandbox.phones.errors import BadRequest, PhoneError, UnknownPhone
from zapwire.sandbox.phones.inbox import InboxEntry
from zapwire.sandbox.phones.phone import Phone
from zapwire.sandbox.server.state.accounts import digits_of
from zapwire.sandbox.server.world import World
from zapwire.sandbox.signal.keystore import KeyStore

MIN_DIGITS: Final = 7
DERIVED_PREFIX: Final = "49155"
DERIVED_DIGITS: Final = 8
SAVED_ENTRIES: Final = 500
SAVED_MESSAGES: Final = 100
"""How much of a phone's inbox, and of what it may have to send again, outlives a restart."""


class Phones:
    """Creates phones, finds them, keeps them over a restart."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._phones: dict[str, Phone] = {}
        self._dumped: dict[str, tuple[tuple[int, int, bool], dict[str, Any]]] = {}

    def __iter__(self) -> Iterator[Phone]:
        return iter(list(self._phones.values()))

    def get(self, number: str) -> Phone:
        """The phone with this number; raises UnknownPhone."""
        phone = self._phones.get(digits_of(number))
        if phone is None:
            raise UnknownPhone(f"there is no virtual phone {number}")
        return phone

    async def ensure(self, number: str, push_name: str = "") -> tuple[Phone, bool]:
        """The phone with this number, and whether it is new. Raises BadRequest when it is no number."""
        digits = digits_of(number)
        if digits in self._phones:
            phone = self._phones[digits]
            phone.account.push_name = push_name or phone.account.push_name
            return phone, False
        account = self.world.accounts.get(digits)
        if account is None:
            try:
                account = self.world.create_account(digits, push_name)
            except ValueError as error:
                raise BadRequest(str(error)) from error
        phone = self._phones[digits] = Phone.new(self.world, account)
        await phone.start()
        return phone, True

    def unused_number(self) -> str:
        """A number that nobody has yet."""
        numbers = (f"{DERIVED_PREFIX}{number:0{DERIVED_DIGITS}}" for number in range(1, 10**DERIVED_DIGITS))
        return next(number for number in numbers if number not in self.world.accounts)

    def push_name_of(self, ref: str) -> str:
        """What the client that waits under this reference calls itself; raises PhoneError when none waits."""
        try:
            return self.world.pairings.get(ref).push_name
        except LookupError as error:
            raise PhoneError(str(error)) from error

    async def aclose(self) -> None:
        """Put all phones offline."""
        for phone in self:
            await phone.aclose()

    # ---- state

    def to_json(self) -> list[dict[str, Any]]:
        """Everything that the phones keep, secrets included."""
        return [self._saved(phone) for phone in self]

    def _saved(self, phone: Phone) -> dict[str, Any]:
        version, saved = self._dumped.get(phone.account.phone, (None, {}))
        if version != phone.version:
            version, saved = phone.version, _dump(phone)
            self._dumped[phone.account.phone] = (version, saved)
        return saved

    async def restore(self, saved: list[dict[str, Any]]) -> None:
        """Bring phones back whose accounts the world has; raises pydantic.ValidationError."""
        for item in saved:
            state = _Saved.model_validate(item)
            account = self.world.accounts.get(state.phone)
            if account is not None:
                phone = self._phones[state.phone] = state.phone_of(self.world)
                await phone.start()


def number_from(push_name: str) -> str:
    """A phone number for a client that only has a name: the digits in it, else always the same for the same name.

    A client without a name gets an empty text.
    """
    if not push_name:
        return ""
    digits = "".join(character for character in push_name if character in "0123456789")
    if MIN_DIGITS <= len(digits) <= 15:
        return digits
    number = int.from_bytes(hashlib.sha256(push_name.encode()).digest()[:8], "big") % 10**DERIVED_DIGITS
    return f"{DERIVED_PREFIX}{number:0{DERIVED_DIGITS}}"


class _Saved(BaseModel):
    """One phone in the state file. Bytes are base64."""

    phone: str
    keys: dict[str, Any]
    app_state: tuple[str, str, int]
    raw_id: int
    inbox: list[tuple[int, str, dict[str, Any], str]]
    last: int
    kept: list[tuple[str, str, str]]
    final: bool = False
    passkey: tuple[str, str] | None = None

    def phone_of(self, world: World) -> Phone:
        key_id, secret, timestamp = self.app_state
        app_state = AppStateKey(bytes.fromhex(key_id), bytes.fromhex(secret), timestamp)
        keys = KeyStore.from_json(self.keys)
        if not self.final:
            keys.distrust_positions()
        phone = Phone(world, world.accounts[self.phone], keys, app_state=app_state, raw_id=self.raw_id)
        phone.inbox.entries.extend(InboxEntry(seq, kind, data, b64decode(raw)) for seq, kind, data, raw in self.inbox)
        phone.inbox.last = self.last
        phone.sending.load(self.kept)
        if self.passkey is not None:
            phone.authenticator = Authenticator(*map(b64decode, self.passkey))
        return phone


def _dump(phone: Phone) -> dict[str, Any]:
    """What `_Saved` reads. Built by hand: it is made again every second while messages flow, on the event loop."""
    key, passkey = phone.pairing.app_state, phone.authenticator
    return {
        "phone": phone.account.phone,
        "keys": phone.keys.to_json(),
        "app_state": (key.key_id.hex(), key.secret.hex(), key.timestamp),
        "raw_id": phone.pairing.raw_id,
        "inbox": [(e.seq, e.kind, e.data, b64encode(e.raw).decode()) for e in phone.inbox.newest(SAVED_ENTRIES)],
        "last": phone.inbox.last,
        "kept": phone.sending.to_json(SAVED_MESSAGES),
        "final": phone.closed,
        "passkey": None
        if passkey is None
        else [b64encode(one).decode() for one in (passkey.private, passkey.credential_id)],
    }
