"""Signal keys on the server: upload, count, digest, rotate, and fetching another device's.

Source: whatsmeow's prekeys.go.
"""

from __future__ import annotations

import hashlib
from typing import Final

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import SERVER, QueryError, Unhandled, notification, now
from zapwire.sandbox.server.state.accounts import AccountDevice, KeyBundle, UploadedSignedPreKey
from zapwire.wire.node import Node

LOW: Final = 5
"""A device with fewer one-time keys is told to upload more."""
MAX_ONE_TIME: Final = 5000
_CURVE: Final = b"\x05"


def _bytes(node: Node, *path: str, size: int) -> bytes:
    part = node.child(*path)
    if part is None or len(part.data) != size:
        raise QueryError(400, "bad-request")
    return part.data


def _key(node: Node) -> tuple[int, bytes]:
    return int.from_bytes(_bytes(node, "id", size=3), "big"), _bytes(node, "value", size=32)


def _signed(node: Node | None) -> UploadedSignedPreKey:
    if node is None:
        raise QueryError(400, "bad-request")
    number, public = _key(node)
    return UploadedSignedPreKey(number, public, _bytes(node, "signature", size=64))


async def _set(caller: Caller, iq: Node) -> list[Node]:
    rotate = iq.child("rotate")
    if rotate is not None:
        if caller.device.keys is None:
            raise QueryError(406, "not-acceptable")
        caller.device.keys.signed_prekey = _signed(rotate.child("skey"))
    else:
        _upload(caller.device, iq)
    caller.world.changed()
    return []


def _upload(device: AccountDevice, iq: Node) -> None:
    identity = _bytes(iq, "identity", size=32)
    if device.keys is not None and device.number and device.keys.identity != identity:
        raise QueryError(406, "not-acceptable")  # a companion's identity is what its phone has signed
    registration = int.from_bytes(_bytes(iq, "registration", size=4), "big")
    listed = iq.child("list")
    new = dict(_key(key) for key in listed.all("key")) if listed else {}
    known = device.keys.one_time if device.keys and device.keys.identity == identity else {}
    if len(known) + len(new) > MAX_ONE_TIME:
        raise QueryError(406, "not-acceptable")
    device.keys = KeyBundle(registration, identity, _signed(iq.child("skey")), {**known, **new})


async def _get(caller: Caller, iq: Node) -> list[Node]:
    keys = caller.device.keys
    if iq.child("count") is not None:
        return [Node("count", {"value": str(len(keys.one_time) if keys else 0)})]
    if iq.child("digest") is not None:
        return [_digest(keys)]
    asked = iq.child("key") or iq.child("key_fetch")
    if asked is None:
        raise Unhandled
    return [Node("list", {}, [await _bundle(caller, user) for user in asked.all("user")])]


def _digest(keys: KeyBundle | None) -> Node:
    if keys is None:
        raise QueryError(404, "item-not-found")
    numbers = sorted(keys.one_time)
    hashed = keys.identity + keys.signed_prekey.public + keys.signed_prekey.signature
    hashed += b"".join(keys.one_time[number] for number in numbers)
    body = [
        Node("registration", {}, keys.registration_id.to_bytes(4, "big")),
        Node("type", {}, _CURVE),
        Node("identity", {}, keys.identity),
        _skey(keys.signed_prekey),
        Node("list", {}, [Node("id", {}, number.to_bytes(3, "big")) for number in numbers]),
        Node("hash", {}, hashlib.sha1(hashed, usedforsecurity=False).digest()),
    ]
    return Node("digest", {}, body)


async def _bundle(caller: Caller, user: Node) -> Node:
    jid = user.jid("jid")
    account = caller.world.account_of(jid) if jid else None
    device = account.devices.get(jid.device) if account and jid else None
    if jid is None or account is None or device is None or device.keys is None:
        error = Node("error", {"code": "404", "text": "item-not-found"})
        return Node("user", {"jid": jid or ""}, [error])
    keys = device.keys
    body = [
        Node("registration", {}, keys.registration_id.to_bytes(4, "big")),
        Node("type", {}, _CURVE),
        Node("identity", {}, keys.identity),
        _skey(keys.signed_prekey),
    ]
    if keys.one_time:
        number = next(iter(keys.one_time))
        body.append(_one_time(number, keys.one_time.pop(number)))
        caller.world.changed()
        await _tell_when_low(caller, device)
    if device.device_identity:
        body.append(Node("device-identity", {}, device.device_identity))
    return Node("user", {"jid": jid, "t": now()}, body)


async def _tell_when_low(caller: Caller, device: AccountDevice) -> None:
    left = len(device.keys.one_time) if device.keys else 0
    if left == LOW - 1 or left == 0:
        count = Node("count", {"value": str(left)})
        await caller.world.post(device, notification("encrypt", SERVER, [count]))


def _one_time(number: int, public: bytes) -> Node:
    return Node("key", {}, [Node("id", {}, number.to_bytes(3, "big")), Node("value", {}, public)])


def _skey(key: UploadedSignedPreKey) -> Node:
    parts = [Node("id", {}, key.number.to_bytes(3, "big")), Node("value", {}, key.public)]
    return Node("skey", {}, [*parts, Node("signature", {}, key.signature)])


QUERIES = {"encrypt set": _set, "encrypt get": _get}
