"""The phone's half of a pairing with a passkey: it checks who asks, and its owner compares the code."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from typing import Any, Final, Protocol

from zapwire.sandbox.phones.errors import PhoneError
from zapwire.sandbox.server.passkeys import LASTS, PasskeyStep
from zapwire.sandbox.server.state.accounts import Account
from zapwire.wire import passkey
from zapwire.wire.curve import KeyPair

CREATE_ONE: Final = "this account needs a passkey to link devices: create one under Settings, Account, Passkeys"


class PasskeyNetwork(Protocol):
    """The part of the world that demands passkeys."""

    async def demand_passkey(self, ref: str, account: Account) -> PasskeyStep:
        """Ask the client that waits under *ref* for the passkey; raises LookupError."""

    async def decline(self, ref: str) -> None:
        """The phone's owner does not want this client; raises LookupError."""


class PasskeyPairing:
    """One pairing under way, as the phone shows it."""

    def __init__(self, account: Account, secret: bytes) -> None:
        self._account = account
        self._secret = secret
        self._step: PasskeyStep | None = None
        self.code: str | None = None
        """What the phone shows."""
        self.asked = asyncio.Event()
        """Set when the owner is asked whether the client shows the same code."""
        self.outcome: str | None = None
        """`paired`, or why not; None while it goes on."""
        self._accepted: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def begin(self, world: PasskeyNetwork, ref: str) -> None:
        """Let the server ask the client. Raises `PhoneError`."""
        if self._account.passkey is None:
            raise PhoneError(CREATE_ONE)
        try:
            self._step = await world.demand_passkey(ref, self._account)
        except LookupError as error:
            raise PhoneError(str(error)) from error

    async def finish(self) -> passkey.Request:
        """What the client wants to be linked with, once it has answered and our owner agrees. Raises `PhoneError`."""
        assert self._step is not None, "begun before"  # noqa: S101
        try:
            async with asyncio.timeout(LASTS):
                return await self._exchange(self._step)
        except TimeoutError:
            raise PhoneError("the passkey was not answered in time") from None
        except passkey.PasskeyError as error:
            raise PhoneError(str(error)) from error

    async def _exchange(self, step: PasskeyStep) -> passkey.Request:
        prologue, proof = await step.prologue
        companion, committed = passkey.read_prologue(prologue)
        expected = passkey.handoff_proof(passkey.handoff_key(self._secret), prologue)
        if companion.ref != step.ref or (proof and not hmac.compare_digest(proof, expected)):
            raise PhoneError("the client is not the one that was scanned")
        if self._account.passkey_rule.silent:
            await asyncio.Event().wait()
        own = KeyPair.generate()
        primary = passkey.Primary(own.public, secrets.token_bytes(passkey.NONCE))
        await step.go_on(primary.encode())
        nonce = await step.nonce
        if not hmac.compare_digest(passkey.commitment(companion.encode(), nonce), committed):
            raise PhoneError("the client shows another nonce than it committed to")
        self.code = passkey.verification_code(nonce, primary)
        if not proof or self._account.passkey_rule.compare:
            await self._ask_owner()
        key = passkey.request_key(own, companion.public, companion.device_type, companion.ref)
        return passkey.Request.open(key, await step.request)

    async def _ask_owner(self) -> None:
        self.asked.set()
        if not await self._accepted:
            raise PhoneError("the owner said that the client shows another code")

    @property
    def waits_for_owner(self) -> bool:
        """Does it wait for `accept`?"""
        return self.asked.is_set() and not self._accepted.done() and self.outcome is None

    def accept(self, *, same: bool) -> None:
        """The owner says whether the client shows the *same* code. Raises `PhoneError` when nobody asked."""
        if not self.waits_for_owner:
            raise PhoneError("no code is to be compared")
        self._accepted.set_result(same)

    def to_json(self) -> dict[str, Any]:
        """For the admin API."""
        asked = self._step is not None and not self._step.prologue.done() and self.outcome is None
        return {
            "question": self._step.question if self._step is not None and asked else None,
            "code": self.code,
            "waits_for_owner": self.waits_for_owner,
            "outcome": self.outcome,
        }
