"""App state on the server: numbered patches by account and collection, which the server stores but cannot read.

Source: whatsmeow's appstate.go. A patch is accepted only on top of the newest version; the server writes the new
version into it, because clients check it against their hash of everything.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

import zapwire.protobufs  # noqa: F401  enters neonize without its client

# isort: split
from neonize.proto.waServerSync import WAServerSync_pb2 as sync

from zapwire.sandbox.caller import SERVER, Caller, QueryError, notification
from zapwire.sandbox.node import Attr, Node

if TYPE_CHECKING:
    from zapwire.sandbox.accounts import Account

COLLECTIONS: Final = ("critical_block", "critical_unblock_low", "regular_high", "regular_low", "regular")
MAX_PATCHES: Final = 5000
PAGE: Final = 50


@dataclass(slots=True)
class Collection:
    """One collection of one account: patch n made version n."""

    patches: list[bytes] = field(default_factory=list)

    @property
    def version(self) -> int:
        """The newest version; 0 when nothing was ever stored."""
        return len(self.patches)


class AppState:
    """The collections of all accounts."""

    def __init__(self) -> None:
        self._collections: dict[tuple[str, str], Collection] = {}

    def of(self, account: Account, name: str) -> Collection:
        """A collection; raises QueryError when there is none of this name."""
        if name not in COLLECTIONS:
            raise QueryError(404, "item-not-found")
        return self._collections.setdefault((account.phone, name), Collection())

    def append(self, account: Account, name: str, patch: bytes) -> int:
        """Store a patch on top; gives the version that it made. Raises QueryError when it is no patch."""
        collection = self.of(account, name)
        if collection.version >= MAX_PATCHES:
            raise QueryError(500, "internal-server-error")
        try:
            parsed = sync.SyncdPatch.FromString(patch)
        except DecodeError as error:
            raise QueryError(400, "bad-request") from error
        parsed.version.version = collection.version + 1
        collection.patches.append(bytes(parsed.SerializeToString()))
        return collection.version

    def to_json(self) -> list[list[Any]]:
        """For the state file."""
        return [[*key, [base64.b64encode(p).decode() for p in c.patches]] for key, c in self._collections.items()]

    def restore(self, saved: list[list[Any]]) -> None:
        """Take in what `to_json` gave."""
        for phone, name, patches in saved:
            self._collections[phone, name] = Collection([base64.b64decode(p) for p in patches])


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
