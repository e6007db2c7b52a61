"""Who is online, and who is typing. Neither is kept for devices that are away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from zapwire.sandbox.server.context import Context
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import now
from zapwire.wire.node import Attr, Node, WireJid

if TYPE_CHECKING:
    from zapwire.sandbox.server.state.accounts import Account

GROUP_SERVER: Final = "g.us"


async def handle(caller: Caller, node: Node) -> None:
    """`available`, `unavailable` or `subscribe`."""
    kind = node.text("type", "available")
    if kind == "subscribe":
        await _subscribe(caller, node)
        return
    if kind not in {"available", "unavailable"}:
        return
    caller.device.available = kind == "available"
    caller.account.last_seen = int(time.time())
    name = node.text("name")
    if name and name != caller.account.push_name:
        caller.account.push_name = name
        caller.world.changed()
    await announce(caller.world, caller.account)


async def _subscribe(caller: Caller, node: Node) -> None:
    jid = node.jid("to")
    peer = caller.world.account_of(jid) if jid else None
    if jid is None or peer is None:
        return
    peer.presence_to[caller.account.lid] = jid.bare
    await caller.answer(_presence(peer, jid.bare))


async def announce(world: Context, account: Account) -> None:
    """Tell those who subscribed how it is now."""
    for lid, known_as in list(account.presence_to.items()):
        other = world.directory.by_lid(lid)
        for device in list(other.devices.values()) if other else []:
            await world.send(device, _presence(account, known_as))


def _presence(account: Account, known_as: WireJid) -> Node:
    if account.online:
        return Node("presence", {"from": known_as, "type": "available"})
    hidden = account.privacy.get("last", "all") != "all"
    return Node(
        "presence",
        {"from": known_as, "type": "unavailable", "last": "deny" if hidden else str(account.last_seen)},
    )


async def handle_chatstate(caller: Caller, node: Node) -> None:
    """Typing, recording or paused: passed on to whoever is connected."""
    to = node.jid("to")
    if to is None:
        return
    attrs: dict[str, Attr] = {"from": caller.account.lid_jid, "t": now()}
    if to.server == GROUP_SERVER:
        group = caller.world.groups.get(to)
        if group is None or caller.account.lid not in group.members:
            return
        attrs = {"from": to, "participant": caller.account.lid_jid}
        lids = [lid for lid in group.members if lid != caller.account.lid]
    else:
        peer = caller.world.account_of(to)
        lids = [peer.lid] if peer and not peer.blocks(caller.account) else []
    for lid in lids:
        account = caller.world.directory.by_lid(lid)
        for device in list(account.devices.values()) if account else []:
            await caller.world.send(device, Node("chatstate", attrs, node.content))
