"""iq: every question a client can ask, by namespace and type."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from zapwire.sandbox.server.handlers import (
    app_state,
    blocklist,
    devices,
    group_queries,
    login_queries,
    media,
    pictures,
    prekeys,
    privacy,
    profile,
    usync,
)
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import SERVER, QueryError, Unhandled
from zapwire.sandbox.server.state.statistics import kind_of
from zapwire.wire.node import Attr, BadStanza, Node

log = logging.getLogger(__name__)

Query = Callable[[Caller, Node], Awaitable[list[Node]]]

_QUERIES: Final[dict[str, Query]] = {
    **login_queries.QUERIES,
    **prekeys.QUERIES,
    **usync.QUERIES,
    **devices.QUERIES,
    **media.QUERIES,
    **privacy.QUERIES,
    **blocklist.QUERIES,
    **profile.QUERIES,
    **pictures.QUERIES,
    **app_state.QUERIES,
    **group_queries.QUERIES,
}


async def handle(caller: Caller, iq: Node) -> None:
    """Answer a question; what nobody here understands gets error 501 and is counted."""
    if iq.text("type") in {"result", "error"}:
        return  # the answer to a question of the server's
    query = _QUERIES.get(f"{iq.text('xmlns')} {iq.text('type')}")
    try:
        if query is None:
            raise Unhandled
        content = await _answer(query, caller, iq)
    except QueryError as error:
        await caller.answer(_refusal(caller, iq, error))
    else:
        await caller.answer(Node("iq", _attrs(iq, "result"), content or None))


async def _answer(query: Query, caller: Caller, iq: Node) -> list[Node]:
    try:
        return await query(caller, iq)
    except BadStanza as error:
        raise QueryError(400, "bad-request") from error


def _refusal(caller: Caller, iq: Node, error: QueryError) -> Node:
    statistics = caller.world.statistics
    if isinstance(error, Unhandled):
        statistics.count(statistics.unhandled, kind_of(iq))
        log.info("the sandbox does not know this query: %s", kind_of(iq))
    else:
        statistics.count(statistics.refused, f"{kind_of(iq)}: {error}")
    return Node("iq", _attrs(iq, "error"), [Node("error", {"code": str(error.code), "text": error.text})])


def _attrs(iq: Node, kind: str) -> dict[str, Attr]:
    return {"from": iq.attrs.get("to") or SERVER, "type": kind, "id": iq.text("id")}
