"""How a virtual phone gets companions: by scanning a QR code or by typing a code, and what it tells them afterwards."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from zapwire.sandbox.phones import history
from zapwire.sandbox.phones.app_state import CRITICAL_BLOCK, AppStateKey
from zapwire.sandbox.phones.content import E2EMessage
from zapwire.sandbox.phones.errors import BadRequest, PhoneError, ServerRefused
from zapwire.sandbox.phones.line import Line
from zapwire.sandbox.phones.passkey import PasskeyNetwork, PasskeyPairing
from zapwire.sandbox.phones.sending import Sending, new_message_id
from zapwire.sandbox.server.pairings import PairingFailed
from zapwire.wire import adv
from zapwire.wire.link_code import CodePairing, WrongCode
from zapwire.wire.node import Node, WireJid

if TYPE_CHECKING:
    from zapwire.sandbox.server.pairings import CodeRequest
    from zapwire.sandbox.server.state.accounts import Account

FINISH_WITHIN: Final = 20.0
LINK_CODE: Final = "link_code_companion_reg"

log = logging.getLogger(__name__)


class PairingNetwork(PasskeyNetwork, Protocol):
    """The part of the world that pairs."""

    async def pair(self, ref: str, account: Account, key_index: int, identity_container: bytes) -> int:
        """Make the companion that waits under *ref* a device of the account."""

    def publish_key_indexes(self, account: Account, signed: bytes, timestamp: int) -> None:
        """Keep the phone's signed list of its companions."""

    def code_requests(self, phone: str) -> list[CodeRequest]:
        """The companions that wait for this phone to type their code."""

    async def primary_hello(self, ref: str, wrapped_ephemeral: bytes, identity_public: bytes) -> None:
        """Pass the phone's answer on to a companion."""


class Pairing:
    """One phone's companions."""

    def __init__(
        self, world: PairingNetwork, line: Line, sending: Sending, *, app_state: AppStateKey, raw_id: int
    ) -> None:
        self._world = world
        self._line = line
        self._keys = sending.keys
        self._sending = sending
        self.app_state = app_state
        self.raw_id = raw_id
        self.passkey: PasskeyPairing | None = None
        """The last pairing for which the passkey was demanded."""
        self._task: asyncio.Task[None] | None = None
        self._finishing: dict[str, asyncio.Future[Node]] = {}

    async def scan(self, text: str) -> int | None:
        """Pair with the client that shows this QR text; returns its device number. Raises PhoneError.

        None when WhatsApp demands the passkey: `passkey` tells how that goes on.
        """
        try:
            code = adv.parse_qr(text)
        except ValueError as error:
            raise BadRequest(str(error)) from error
        return await self._accept(code.ref, code.identity_public, code.adv_secret)

    async def enter_code(self, code: str) -> int | None:
        """Pair with the client that shows this code for our number; returns as `scan`. Raises PhoneError."""
        waiting = self._world.code_requests(self._line.account.phone)
        if not waiting:
            raise PhoneError("no client waits for a pairing code of this number")
        request = waiting[-1]
        try:
            # The code is stretched on purpose (50 ms); the loop has other things to do meanwhile.
            pairing = await asyncio.to_thread(CodePairing.begin, self._keys.identity, code, request.wrapped_ephemeral)
            finish = await self._hello(request.ref, pairing)
            identity = _data(finish, "companion_identity_public")
            secret = pairing.finish(_data(finish, "link_code_pairing_wrapped_key_bundle"), identity)
        except WrongCode as error:
            raise BadRequest(str(error)) from error
        return await self._accept(request.ref, identity, secret)

    async def _accept(self, ref: str, companion_identity: bytes, secret: bytes) -> int | None:
        account = self._line.account
        if not account.passkey_rule.demanded:
            return await self._pair(ref, companion_identity, secret)
        attempt = PasskeyPairing(account, secret)
        await attempt.begin(self._world, ref)
        await self.aclose()
        self.passkey = attempt
        self._task = asyncio.create_task(self._pair_with_passkey(attempt, ref), name=f"passkey of {account.lid}")
        return None

    async def _pair_with_passkey(self, attempt: PasskeyPairing, ref: str) -> None:
        try:
            request = await attempt.finish()
            await self._pair(ref, request.identity_public, request.adv_secret)
        except PhoneError as error:
            attempt.outcome = str(error)
            with suppress(LookupError):
                await self._world.decline(ref)
        else:
            attempt.outcome = "paired"

    async def aclose(self) -> None:
        """End a pairing that waits for a passkey."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _hello(self, ref: str, pairing: CodePairing) -> Node:
        self._finishing[ref] = asyncio.get_running_loop().create_future()
        try:
            await self._world.primary_hello(ref, pairing.wrapped_ephemeral, self._keys.identity.public)
            async with asyncio.timeout(FINISH_WITHIN):
                return await self._finishing[ref]
        except LookupError as error:
            raise PhoneError("the client that asked for a code is gone") from error
        except TimeoutError as error:
            raise PhoneError("the client did not answer; is the code the one that it shows?") from error
        finally:
            del self._finishing[ref]

    def notified(self, notification: Node) -> None:
        """Take a notification about code pairing from the server."""
        part = notification.child(LINK_CODE)
        if part is not None and part.text("stage") == "companion_finish":
            waiting = self._finishing.get(_data(part, "link_code_pairing_ref").decode(errors="replace"))
            if waiting is not None and not waiting.done():
                waiting.set_result(part)

    async def _pair(self, ref: str, companion_identity: bytes, secret: bytes) -> int:
        account = self._line.account
        key_index = 1 + max(device.key_index for device in account.devices.values())
        self.publish_key_indexes(key_index)  # before anybody hears that the list of devices has changed
        container = adv.identity_container(
            self._keys.identity,
            companion_identity,
            secret,
            raw_id=self.raw_id,
            key_index=key_index,
            timestamp=int(time.time()),
        )
        try:
            number = await self._world.pair(ref, account, key_index, container)
        except (LookupError, PairingFailed) as error:
            raise PhoneError(str(error)) from error
        await self._welcome(account.lid_jid.with_device(number))
        return number

    def publish_key_indexes(self, *coming: int) -> None:
        """Sign which companions the account has, and is about to have, for all who ask for its devices."""
        account, timestamp = self._line.account, int(time.time())
        indexes = [*(device.key_index for device in account.devices.values() if device.number), *coming]
        signed = adv.sign_key_indexes(self._keys.identity, indexes, raw_id=self.raw_id, timestamp=timestamp)
        self._world.publish_key_indexes(account, signed, timestamp)

    async def _welcome(self, companion: WireJid) -> None:
        """Give a new companion the key of the account's settings (the push name among them) and an empty history."""
        await self._publish_push_name()
        for message in (self.app_state.share(), history.nothing_before()):
            await self._sending.send_to_companion(companion, message, new_message_id())

    async def _publish_push_name(self) -> None:
        account = self._line.account
        patch = self.app_state.push_name_patch(account.push_name or account.phone)
        collection = Node("collection", {"name": CRITICAL_BLOCK, "version": "0"}, [Node("patch", content=patch)])
        try:
            await self._line.ask("w:sync:app:state", "set", Node("sync", content=[collection]))
        except ServerRefused as error:
            log.debug("the push name was published before: %s", error)

    async def asked_by_companion(self, companion: WireJid, message: E2EMessage) -> None:
        """Answer what a companion asks its phone for; only the key of the settings can be had here."""
        if message.protocolMessage.HasField("appStateSyncKeyRequest"):
            await self._sending.send_to_companion(companion, self.app_state.share(), new_message_id())


def new_raw_id() -> int:
    """A number for the account's signed lists."""
    return secrets.randbits(31)


def _data(node: Node, tag: str) -> bytes:
    part = node.child(tag)
    return part.data if part else b""
