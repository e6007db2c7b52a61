"""The blocklist."""

from __future__ import annotations

import hashlib

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import QueryError, notification
from zapwire.sandbox.server.state.accounts import Account
from zapwire.wire.node import Node


def _hash(account: Account) -> str:
    return hashlib.sha256("".join(sorted(account.blocked)).encode()).hexdigest()[:16]


def _list(caller: Caller) -> Node:
    account, world = caller.account, caller.world
    known = [world.directory.by_lid(lid) for lid in account.blocked]
    items = [Node("item", {"jid": a.lid_jid, "pn_jid": a.phone_jid}) for a in known if a]
    return Node("list", {"dhash": _hash(account)}, items)


async def _get(caller: Caller, _iq: Node) -> list[Node]:
    return [_list(caller)]


async def _set(caller: Caller, iq: Node) -> list[Node]:
    item = iq.child("item")
    jid = (item.jid("jid") or item.jid("pn_jid")) if item else None
    peer = caller.world.account_of(jid) if jid else None
    if item is None or peer is None:
        raise QueryError(404, "item-not-found")
    action = item.text("action")
    if action not in {"block", "unblock"}:
        raise QueryError(400, "bad-request")
    before = _hash(caller.account)
    caller.account.blocked = [lid for lid in caller.account.blocked if lid != peer.lid]
    if action == "block":
        caller.account.blocked.append(peer.lid)
    caller.world.changed()
    change = Node("item", {"jid": peer.lid_jid, "action": action})
    told = Node("blocklist", {"action": "modify", "dhash": _hash(caller.account), "prev_dhash": before}, [change])
    await caller.post_to_account(caller.account, notification("account_sync", caller.account.lid_jid, [told]))
    return [_list(caller)]


QUERIES = {"blocklist get": _get, "blocklist set": _set}
