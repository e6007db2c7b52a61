"""The small questions of a login: keep-alive, active or passive, properties, push, what is dirty."""

from __future__ import annotations

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import now
from zapwire.wire.node import Node


async def _nothing(_caller: Caller, _iq: Node) -> list[Node]:
    return []


async def _passive(caller: Caller, iq: Node) -> list[Node]:
    if iq.child("active") is not None:
        # The answer comes first: a client counts itself as connected from then on.
        caller.world.spawn(caller.world.activate(caller.device), f"sandbox activate {caller.jid}")
    return []


async def _properties(_caller: Caller, iq: Node) -> list[Node]:
    asked = iq.child("props")
    attrs = {"protocol": asked.text("protocol", "1") if asked else "1", "refresh": "86400", "hash": "sandbox"}
    return [Node("props", {**attrs, "ab_key": "sandbox", "refresh_id": "1"}, [])]


async def _push(_caller: Caller, _iq: Node) -> list[Node]:
    return [Node("settings", {"t": now()}, [])]


QUERIES = {
    "w:p get": _nothing,
    "passive set": _passive,
    "w get": _properties,
    "abt get": _properties,
    "urn:xmpp:whatsapp:push get": _push,
    "urn:xmpp:whatsapp:push set": _nothing,
    "urn:xmpp:whatsapp:dirty set": _nothing,
    "disappearing_mode set": _nothing,
    "w:stats set": _nothing,
    "w:stats get": _nothing,
    "w:stats ": _nothing,
    "tos set": _nothing,
}
