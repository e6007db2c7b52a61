"""What happens after the handshake: a client without an account registers, one with an account logs in.

Source: whatsmeow's `connectionevents.go` and Baileys' `validate-connection.ts`.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import Any, Final, Protocol

from zapwire.sandbox.server.pairings import Registration, keys_of_registration
from zapwire.sandbox.server.replies import SERVER, now
from zapwire.sandbox.server.state import faults
from zapwire.sandbox.server.state.accounts import Account, AccountDevice, UnknownDevice
from zapwire.sandbox.server.state.faults import LoginFailure, stream_error
from zapwire.sandbox.server.state.statistics import kind_of
from zapwire.sandbox.server.world import World
from zapwire.wire.node import Attr, Node
from zapwire.wire.noise import Cipher

log = logging.getLogger(__name__)

LOGGED_OUT: Final = 401


class Client(faults.FaultTarget, Protocol):
    """A client's socket after its handshake; an `Endpoint` once it is logged in."""

    world: World
    entered: bool
    """The client has said that it is active."""

    async def deliver(self, node: Node) -> None:
        """Queue a stanza for the client."""

    def ignores(self, node: Node) -> bool:
        """Is this stanza of the client not heard, because of a fault?"""

    async def next_node(self, read: Cipher) -> Node:
        """The next stanza of the client; raises `Closed` when it is gone."""


async def enter(connection: Client, static: bytes, payload: Any, read: Cipher, registration_seconds: float) -> None:
    """Serve the client as what its payload says it is, until it is gone."""
    if payload.HasField("devicePairingData"):
        await _register(connection, static, payload, read, registration_seconds)
    else:
        await _log_in(connection, static, payload, read)


async def _register(connection: Client, static: bytes, payload: Any, read: Cipher, seconds: float) -> None:
    world = connection.world
    version = _version(payload)
    world.statistics.announce("registration", "", version, payload.devicePairingData.buildHash)
    failure = world.faults.login_failure("", version[-1])
    if failure is not None:
        await _refuse(connection, read, failure)
        return
    data = payload.devicePairingData
    try:
        keys = keys_of_registration(data.eRegid, data.eIdent, data.eSkeyID, data.eSkeyVal, data.eSkeySig)
    except ValueError:
        await _refuse(connection, read, LoginFailure(400))
        return
    registration = Registration(keys, static, payload.pushName, connection.deliver, connection.end)
    world.pairings.add(registration)
    try:
        async with asyncio.timeout(seconds) as registration.deadline:
            await registration.offer_refs()
            await _serve_registration(connection, registration, read)
    except TimeoutError:
        # The references are used up: the real server closes the socket, too.
        log.debug("nobody scanned in time")
    finally:
        world.pairings.remove(registration)


async def _serve_registration(connection: Client, registration: Registration, read: Cipher) -> None:
    world = connection.world
    while True:
        node = await connection.next_node(read)
        world.statistics.count(world.statistics.received, kind_of(node))
        answer = await world.pairings.handle(world, registration, node)
        if answer is not None and answer.text("type") == "error":
            world.statistics.count(world.statistics.unhandled, kind_of(node))
        if answer is not None:
            answer.attrs = {"from": SERVER, "type": "result", "id": node.text("id"), **answer.attrs}
            await connection.deliver(answer)


async def _log_in(connection: Client, static: bytes, payload: Any, read: Cipher) -> None:
    world = connection.world
    account = world.accounts.get(str(payload.username))
    device = account.devices.get(payload.device) if account else None
    connection.phone = account.phone if account else ""
    if world.faults.is_frozen(connection.phone):
        connection.freeze()
    if connection.phone in world.faults.refused:
        connection.abort()
        return
    version = _version(payload)
    world.statistics.announce("login", connection.phone, version)
    failure = world.faults.login_failure(connection.phone, version[-1])
    if failure is None and (account is None or device is None or not _same_key(device, static)):
        failure = LoginFailure(LOGGED_OUT)
    if failure is not None or account is None or device is None:
        await _refuse(connection, read, failure or LoginFailure(LOGGED_OUT))
        return
    connection.device_number = device.number
    await _replace(connection, device)
    world.statistics.logins += 1
    await connection.deliver(_success(account, device))
    world.attach(account, device.number, connection, hold=True)
    if (lasts := world.faults.flapping.get(account.phone)) is not None:
        asyncio.get_running_loop().call_later(lasts, connection.abort)
    try:
        await _serve(connection, account, device, read)
    finally:
        world.detach(account, device.number, connection)


def _version(payload: Any) -> tuple[int, int, int]:
    announced = payload.userAgent.appVersion
    return announced.primary, announced.secondary, announced.tertiary


def _same_key(device: AccountDevice, static: bytes) -> bool:
    return hmac.compare_digest(device.noise_public, static)


async def _refuse(connection: Client, read: Cipher, failure: LoginFailure) -> None:
    log.debug("login refused: %s", failure.reason)
    await connection.end(failure.node())
    while True:  # until the client or the delayed close ends it
        await connection.next_node(read)


async def _replace(connection: Client, device: AccountDevice) -> None:
    """The same device on another socket: the older one is told and closed."""
    endpoint: object = device.endpoint
    for other in list(connection.world.faults.connections):
        if other is not connection and other is endpoint:
            await other.end(stream_error(conflict="replaced"))


def _success(account: Account, device: AccountDevice) -> Node:
    attrs: dict[str, Attr] = {
        "t": now(),
        "props": "27",
        "location": "sandbox",
        "lid": account.lid_jid.with_device(device.number),
        "companion_enc_static": "",
        "display_name": account.push_name,
        "abprops": "1",
    }
    return Node("success", attrs)


async def _serve(connection: Client, account: Account, device: AccountDevice, read: Cipher) -> None:
    while True:
        node = await connection.next_node(read)
        if account.devices.get(device.number) is not device:
            continue  # unlinked while it still talks; the stream error is on its way
        if connection.ignores(node):
            continue
        try:
            await connection.world.handle(account, device.number, node)
            connection.entered = connection.entered or node.text("xmlns") == "passive"
        except UnknownDevice:
            return
