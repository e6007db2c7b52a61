"""The "about" text of an account, who may see status posts, and the GraphQL queries (w:mex) of newer clients."""

from __future__ import annotations

import json
import time
from typing import Any, Final

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import QueryError, Unhandled
from zapwire.wire.node import Node

SET_ABOUT: Final = "9152604461510864"
"""whatsmeow's mutationUpdateTextStatus."""
MAX_ABOUT: Final = 700


async def _status_get(_caller: Caller, _iq: Node) -> list[Node]:
    return [Node("privacy", {}, [Node("list", {"type": "contacts", "default": "true"}, [])])]


async def _status_set(caller: Caller, iq: Node) -> list[Node]:
    status = iq.child("status")
    if status is None:
        raise Unhandled
    _set_about(caller, status.data.decode(errors="replace"))
    return []


async def _mex(caller: Caller, iq: Node) -> list[Node]:
    query = iq.child("query")
    if query is None or query.text("query_id") != SET_ABOUT:
        raise Unhandled
    try:
        variables: dict[str, Any] = json.loads(query.data)["variables"]
        text = variables["input"].get("text") or ""
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise QueryError(400, "bad-request") from error
    _set_about(caller, str(text))
    answer = {"data": {"xwa2_users_update_text_status": {"result": True}}}
    return [Node("result", {}, json.dumps(answer).encode())]


def _set_about(caller: Caller, text: str) -> None:
    if len(text) > MAX_ABOUT:
        raise QueryError(406, "not-acceptable")
    caller.account.about = text
    caller.account.about_time = int(time.time())
    caller.world.changed()


QUERIES = {"status get": _status_get, "status set": _status_set, "w:mex get": _mex}
