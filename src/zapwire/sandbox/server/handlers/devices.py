"""An account's companions: taking one away, and telling everybody that the list has changed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable

from zapwire.sandbox.server.context import Context
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import QueryError, Unhandled, notification
from zapwire.sandbox.server.state.accounts import Account, AccountDevice
from zapwire.sandbox.server.state.faults import stream_error
from zapwire.wire.node import Node, WireJid


def list_hash(devices: Iterable[WireJid]) -> str:
    """WhatsApp's hash of a list of devices ("phash", version 2), whatever its order."""
    texts = sorted(f"{jid.user}.0:{jid.device}@{jid.server}" for jid in devices)
    digest = hashlib.sha256("".join(texts).encode()).digest()
    return f"2:{base64.b64encode(digest[:6]).decode()}"


def device_jids(account: Account) -> list[WireJid]:
    """The LID addresses of all devices of an account."""
    return [account.lid_jid.with_device(number) for number in account.devices]


async def announce(world: Context, account: Account) -> None:
    """Tell the account's own devices and all who have cached its device list."""
    jids = device_jids(account)
    own = Node("devices", {"dhash": list_hash(jids)}, [Node("device", {"jid": jid}) for jid in jids])
    for device in list(account.devices.values()):
        await world.post(device, notification("account_sync", account.lid_jid, [own]))
    update = Node("update", {"hash": list_hash(jids), "device_hash": list_hash(jids)})
    for lid in list(account.seen_by - {account.lid}):
        other = world.directory.by_lid(lid)
        for device in list(other.devices.values()) if other else []:
            await world.post(device, notification("devices", account.lid_jid, [update]))


async def remove(world: Context, account: Account, device: AccountDevice) -> None:
    """Unlink a companion: forget it, tell it so and end its connection."""
    del account.devices[device.number]
    gone = stream_error(401, "device_removed")
    endpoint = device.endpoint
    if endpoint is not None:
        end = getattr(endpoint, "end", None)
        await (end(gone) if end else endpoint.deliver(gone))
    device.endpoint = None
    world.changed()
    await announce(world, account)


async def _md_set(caller: Caller, iq: Node) -> list[Node]:
    request = iq.child("remove-companion-device")
    if request is None:
        raise Unhandled
    jid = request.jid("jid")
    number = jid.device if jid else -1
    if request.text("all") == "true":
        targets = [device for device in caller.account.devices.values() if device.number]
    else:
        targets = [device for device in caller.account.devices.values() if device.number == number and number > 0]
    if not targets:
        raise QueryError(404, "item-not-found")
    for device in targets:
        # The answer goes out before the stream error, and the caller may be its own target.
        caller.world.spawn(remove(caller.world, caller.account, device), "sandbox unlink")
    return []


QUERIES = {"md set": _md_set}
