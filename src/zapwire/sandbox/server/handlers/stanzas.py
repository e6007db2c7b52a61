"""What the server does with each kind of stanza from a device."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from zapwire.sandbox.server.handlers import calls, messages, presence, queries, receipts
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import now
from zapwire.sandbox.server.state.statistics import kind_of
from zapwire.wire.node import BadStanza, Node

log = logging.getLogger(__name__)

UNRECOGNISED: Final = "488"
"""The error of an `<ack>` for a stanza of unknown kind (whatsmeow's NackUnrecognizedStanza)."""
UNREADABLE: Final = "487"
"""The error of an `<ack>` for a stanza with a part that cannot be read (whatsmeow's NackParsingError)."""


async def handle(caller: Caller, node: Node) -> None:
    """Do what a stanza asks for; an unknown kind is counted and answered with an error."""
    handler = _HANDLERS.get(node.tag)
    if handler is None:
        statistics = caller.world.statistics
        statistics.count(statistics.unhandled, kind_of(node))
        log.info("the sandbox does not know this stanza: %s", kind_of(node))
        await _refuse(caller, node, UNRECOGNISED)
        return
    try:
        await handler(caller, node)
    except BadStanza:
        statistics = caller.world.statistics
        statistics.count(statistics.refused, f"{kind_of(node)}: unreadable")
        await _refuse(caller, node, UNREADABLE)


async def _refuse(caller: Caller, node: Node, error: str) -> None:
    attrs = {"class": node.tag, "id": node.text("id"), "error": error, "t": now()}
    await caller.answer(Node("ack", {**attrs, "from": node.attrs.get("to", "")}))


async def _nothing_to_do(_caller: Caller, _node: Node) -> None:
    """Acknowledgements are taken by the world; `ib` is information that wants no answer."""


_HANDLERS: Final[dict[str, Callable[[Caller, Node], Awaitable[None]]]] = {
    "iq": queries.handle,
    "message": messages.handle,
    "receipt": receipts.handle,
    "presence": presence.handle,
    "chatstate": presence.handle_chatstate,
    "call": calls.handle,
    "ack": _nothing_to_do,
    "ib": _nothing_to_do,
}
