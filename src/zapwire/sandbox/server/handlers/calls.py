"""Calls: offers and what follows are passed on; the sandbox carries no sound."""

from __future__ import annotations

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import now
from zapwire.wire.node import Attr, Node


async def handle(caller: Caller, node: Node) -> None:
    """Acknowledge and pass on to every device of the one who is called (or who called)."""
    to = node.jid("to")
    kind = node.children[0].tag if node.children else ""
    ack: dict[str, Attr] = {"class": "call", "id": node.text("id"), "type": kind, "t": now()}
    peer = caller.world.account_of(to) if to else None
    if to is None or peer is None:
        await caller.answer(Node("ack", {**ack, "from": node.attrs.get("to", ""), "error": "404"}))
        return
    await caller.answer(Node("ack", {**ack, "from": to}))
    if peer.blocks(caller.account):
        return
    attrs: dict[str, Attr] = {
        "from": caller.jid,
        "id": node.text("id"),
        "t": now(),
        "notify": caller.account.push_name,
        "platform": "android",
        "version": "2",
    }
    await caller.post_to_account(peer, Node("call", attrs, node.content))
