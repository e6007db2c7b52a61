"""The query by which clients exchange app state.

Source: whatsmeow's appstate.go. A patch is accepted only on top of the newest version.
"""

from __future__ import annotations

from typing import Final

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import SERVER, QueryError, notification
from zapwire.sandbox.server.state.app_state_store import Collection
from zapwire.wire.node import Attr, Node

PAGE: Final = 50


async def _sync(caller: Caller, iq: Node) -> list[Node]:
    asked = iq.child("sync")
    if asked is None:
        raise QueryError(400, "bad-request")
    answers, changed = [], []
    for collection in asked.all("collection"):
        answer, has_changed = _one(caller, collection)
        answers.append(answer)
        if has_changed:
            changed.append(Node("collection", {"name": answer.text("name"), "version": answer.text("version")}))
    if changed:
        caller.world.changed()
        await caller.post_to_account(caller.account, notification("server_sync", SERVER, changed))
    return [Node("sync", {}, answers)]


def _one(caller: Caller, asked: Node) -> tuple[Node, bool]:
    state, name = caller.world.app_state, asked.text("name")
    collection = state.of(caller.account, name)
    snapshot = asked.text("return_snapshot") == "true"
    base = 0 if snapshot else _version(asked)
    patch = asked.child("patch")
    if patch is None:
        return _patches(name, collection, base), False
    if base != collection.version:
        conflict = _patches(name, collection, base)
        conflict.attrs["type"] = "error"
        conflict.content = [Node("error", {"code": "409", "text": "conflict"}), *conflict.children]
        return conflict, False
    version = state.append(caller.account, name, patch.data)
    return Node("collection", {"name": name, "version": str(version)}), True


def _version(asked: Node) -> int:
    try:
        return int(asked.text("version", "0"))
    except ValueError as error:
        raise QueryError(400, "bad-request") from error


def _patches(name: str, collection: Collection, base: int) -> Node:
    page = collection.patches[base : base + PAGE]
    attrs: dict[str, Attr] = {"name": name, "version": str(collection.version)}
    if base + len(page) < collection.version:
        attrs["has_more_patches"] = "true"
    return Node("collection", attrs, [Node("patches", {}, [Node("patch", {}, patch) for patch in page])])


QUERIES = {"w:sync:app:state set": _sync}
