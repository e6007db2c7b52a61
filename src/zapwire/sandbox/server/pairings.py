"""Pairing: clients without an account wait under a reference until a phone makes them a device of its account.

Source: whatsmeow's pair.go and pair-code.go. By QR: the server gives six references, the phone reads one of them from
the code. By code: the client asks with a phone number (`companion_hello`), the phone answers (`primary_hello`), the
client finishes (`companion_finish`). Both end in `pair-success`, the client's signature and a stream error 515 that
makes it log in.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from zapwire.sandbox.server.context import Context
from zapwire.sandbox.server.passkeys import LASTS, PasskeyStep
from zapwire.sandbox.server.replies import SERVER, new_id, notification, now
from zapwire.sandbox.server.state.accounts import Account, AccountDevice, KeyBundle, UploadedSignedPreKey
from zapwire.sandbox.server.state.faults import stream_error
from zapwire.wire import adv
from zapwire.wire.node import Attr, Node

REFS: Final = 6
CONFIRM_SECONDS: Final = 20.0
LINK_CODE: Final = "link_code_companion_reg"


class PairingFailed(Exception):
    """The companion refused, or did not answer, or answered with a signature that does not hold."""


@dataclass(frozen=True, slots=True)
class CodeRequest:
    """A companion that waits for its pairing code to be typed on the phone."""

    ref: str
    phone: str
    wrapped_ephemeral: bytes
    noise_public: bytes
    platform: str


@dataclass(slots=True, eq=False)
class Registration:
    """A connected client that has no account yet."""

    keys: KeyBundle
    noise_public: bytes
    push_name: str
    send: Callable[[Node], Awaitable[None]]
    end: Callable[[Node], Awaitable[None]]
    refs: list[str] = field(default_factory=lambda: [f"2@{secrets.token_urlsafe(48)}" for _ in range(REFS)])
    code: CodeRequest | None = None
    answers: dict[str, asyncio.Future[Node]] = field(default_factory=dict)
    passkey: PasskeyStep | None = None
    deadline: asyncio.Timeout | None = None
    """When the server closes the socket."""

    async def offer_refs(self) -> None:
        """Send the references for the client's QR codes."""
        refs = [Node("ref", {}, ref.encode()) for ref in self.refs]
        await self.send(
            Node("iq", {"from": SERVER, "type": "set", "id": new_id(), "xmlns": "md"}, [Node("pair-device", {}, refs)])
        )

    async def ask(self, node: Node) -> Node:
        """Send an iq and wait for its answer; raises TimeoutError."""
        answer: asyncio.Future[Node] = asyncio.get_running_loop().create_future()
        self.answers[node.text("id")] = answer
        try:
            await self.send(node)
            async with asyncio.timeout(CONFIRM_SECONDS):
                return await answer
        finally:
            del self.answers[node.text("id")]


class Pairings:
    """The clients that wait."""

    def __init__(self) -> None:
        self._waiting: dict[str, Registration] = {}

    def add(self, registration: Registration) -> None:
        """A client has connected without an account."""
        self._waiting.update(dict.fromkeys(registration.refs, registration))

    def remove(self, registration: Registration) -> None:
        """It is gone, or paired."""
        self._waiting = {ref: other for ref, other in self._waiting.items() if other is not registration}

    def waiting(self) -> list[Registration]:
        """All that wait, oldest first."""
        return list(dict.fromkeys(self._waiting.values()))

    def get(self, ref: str) -> Registration:
        """Who waits under this reference; raises LookupError."""
        registration = self._waiting.get(ref)
        if registration is None:
            raise LookupError("no client waits under this reference: the code is old, or was used")
        return registration

    def code_requests(self, phone: str) -> list[CodeRequest]:
        """The companions that wait for this phone to type their code, newest last."""
        return [r.code for r in self.waiting() if r.code is not None and r.code.phone == phone]

    async def handle(self, world: Context, registration: Registration, node: Node) -> Node | None:
        """A stanza from a waiting client; gives the answer, or None when it needs none."""
        if node.tag in {"ack", "ib", "presence"}:
            return None  # nobody watches a client that has no account
        if node.tag != "iq":
            return Node("ack", {"class": node.tag, "type": "error", "error": "488"})
        return await self._iq(world, registration, node)

    async def _iq(self, world: Context, registration: Registration, node: Node) -> Node | None:
        if node.text("type") in {"result", "error"}:
            answer = registration.answers.get(node.text("id"))
            if answer is not None and not answer.done():
                answer.set_result(node)
            return None
        if registration.passkey is not None and (step := registration.passkey.handle(node)) is not None:
            return step
        request = node.child(LINK_CODE)
        if request is not None:
            return await self._link_code(world, registration, request)
        if node.text("xmlns") == "w:p":
            return Node("iq", {})
        return Node("iq", {"type": "error"}, [Node("error", {"code": "501", "text": "feature-not-implemented"})])

    async def _link_code(self, world: Context, registration: Registration, request: Node) -> Node:
        jid = request.jid("jid")
        phone = jid.user if jid else ""
        if request.text("stage") == "companion_hello":
            if registration.code is not None:
                self._waiting.pop(registration.code.ref, None)  # a new code takes the place of the old one
            ref = f"3@{secrets.token_urlsafe(24)}"
            registration.code = CodeRequest(
                ref,
                phone,
                _data(request, "link_code_pairing_wrapped_companion_ephemeral_pub"),
                _data(request, "companion_server_auth_key_pub"),
                _data(request, "companion_platform_display").decode(errors="replace"),
            )
            self._waiting[ref] = registration
            await self._tell_phone(world, phone, request, ref)
            return Node("iq", {}, [Node(LINK_CODE, {"stage": "companion_hello"}, [_ref(ref)])])
        ref = _data(request, "link_code_pairing_ref").decode(errors="replace")
        await self._tell_phone(world, phone, request, ref)
        return Node("iq", {})

    async def _tell_phone(self, world: Context, phone: str, request: Node, ref: str) -> None:
        account = world.accounts.get(phone)
        if account is not None:
            parts = [part for part in request.children if part.tag != "link_code_pairing_ref"]
            body = Node(LINK_CODE, {"stage": request.text("stage")}, [*parts, _ref(ref)])
            await world.post(account.devices[0], notification(LINK_CODE, SERVER, [body]))

    async def primary_hello(self, ref: str, wrapped_ephemeral: bytes, identity_public: bytes) -> None:
        """Pass the phone's answer on; raises LookupError."""
        body = [
            _ref(ref),
            Node("link_code_pairing_wrapped_primary_ephemeral_pub", {}, wrapped_ephemeral),
            Node("primary_identity_pub", {}, identity_public),
        ]
        part = Node(LINK_CODE, {"stage": "primary_hello"}, body)
        await self.get(ref).send(notification(LINK_CODE, SERVER, [part]))

    async def demand_passkey(self, ref: str, account: Account) -> PasskeyStep:
        """Ask the client for the passkey before it can be paired; it has 10 minutes. Raises LookupError."""
        registration = self.get(ref)
        registration.passkey = step = PasskeyStep(account, registration.send)
        if registration.deadline is not None:
            registration.deadline.reschedule(asyncio.get_running_loop().time() + LASTS)
        if account.passkey_rule.keyless and registration.code is not None:
            part = Node(LINK_CODE, {"stage": "primary_hello"}, [_ref(ref)])
            await registration.send(notification(LINK_CODE, SERVER, [part]))
        await step.begin()
        return step

    async def decline(self, ref: str) -> None:
        """The phone's owner does not want this client: its connection ends."""
        registration = self.get(ref)
        self.remove(registration)
        await registration.end(Node("xmlstreamend"))

    async def pair(self, world: Context, ref: str, account: Account, key_index: int, container: bytes) -> int:
        """Make the client a device; see `World.pair`."""
        registration = self.get(ref)
        self.remove(registration)  # a reference can be used once
        device = AccountDevice(account.new_device_number(), key_index, registration.keys)
        device.noise_public = registration.noise_public
        success = _pair_success(account, device, container)
        try:
            answer = await registration.ask(success)
        except TimeoutError as error:
            raise PairingFailed("the client did not answer") from error
        device.device_identity = _confirmed(answer, registration.keys.identity, adv.account_key_of(container))
        account.devices[device.number] = device
        account.last_device = device.number
        world.statistics.pairings += 1
        world.changed()
        await registration.end(stream_error(515))
        await world.devices_changed(account)
        return device.number


def _pair_success(account: Account, device: AccountDevice, container: bytes) -> Node:
    addresses: dict[str, Attr] = {
        "jid": account.phone_jid.with_device(device.number),
        "lid": account.lid_jid.with_device(device.number),
    }
    body = [
        Node("device-identity", {}, container),
        Node("device", addresses),
        Node("platform", {"name": "android"}),
    ]
    attrs: dict[str, Attr] = {"from": SERVER, "type": "set", "id": new_id(), "xmlns": "md", "t": now()}
    return Node("iq", attrs, [Node("pair-success", {}, body)])


def _confirmed(answer: Node, companion: bytes, account: bytes) -> bytes:
    signed = answer.child("pair-device-sign", "device-identity")
    if answer.text("type") != "result" or signed is None:
        error = answer.child("error")
        raise PairingFailed(f"the client refused: {error.text('text') if error else 'no reason given'}")
    if not adv.verify_companion(signed.data, companion, account):
        raise PairingFailed("the client's signature does not hold")
    return adv.with_account_key(signed.data, account)


def _data(node: Node, tag: str) -> bytes:
    part = node.child(tag)
    return part.data if part else b""


def _ref(ref: str) -> Node:
    return Node("link_code_pairing_ref", {}, ref.encode())


def keys_of_registration(registration_id: bytes, identity: bytes, number: bytes, key: bytes, sign: bytes) -> KeyBundle:
    """The Signal keys in a registration's payload (numbers are big-endian); raises ValueError when they are none."""
    if len(identity) != 32 or len(key) != 32 or len(sign) != 64:
        raise ValueError("a registration's keys have wrong sizes")
    signed = UploadedSignedPreKey(int.from_bytes(number, "big"), key, sign)
    return KeyBundle(int.from_bytes(registration_id, "big"), identity, signed)
