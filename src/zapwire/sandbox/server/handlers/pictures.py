"""Profile and group pictures: set, remove, ask for the address, and download.

Source: whatsmeow's user.go and group.go.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Final

from zapwire.sandbox.server.context import Context
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import QueryError, notification
from zapwire.sandbox.server.state.accounts import Account, Picture
from zapwire.wire.node import Attr, Node

if TYPE_CHECKING:
    from zapwire.sandbox.server.state.groups import Group

JPEG: Final = b"\xff\xd8"
MAX_PICTURE: Final = 1024 * 1024
GROUP_SERVER: Final = "g.us"


def _target(caller: Caller, iq: Node) -> Account | Group:
    jid = iq.jid("target")
    if jid is None:
        return caller.account
    found = caller.world.groups.get(jid) if jid.server == GROUP_SERVER else caller.world.account_of(jid)
    if found is None:
        raise QueryError(404, "item-not-found")
    return found


async def _get(caller: Caller, iq: Node) -> list[Node]:
    asked, target = iq.child("picture"), _target(caller, iq)
    if asked is None:
        raise QueryError(400, "bad-request")
    picture = target.picture
    if picture is None or (isinstance(target, Account) and not _may_see(caller, target)):
        raise QueryError(404, "item-not-found")
    if asked.text("id") == picture.number:
        return [Node("picture", {"status": "304"})]
    host = getattr(caller.device.endpoint, "host", caller.world.media_host)
    path = f"/pictures/{picture.number}?ccb=11-4"
    attrs: dict[str, Attr] = {
        "id": picture.number,
        "type": asked.text("type", "image"),
        "url": f"https://{host}{path}",
        "direct_path": path,
        "hash": base64.b64encode(hashlib.sha256(picture.data).digest()).decode(),
    }
    return [Node("picture", attrs)]


def _new_number() -> str:
    # Later pictures have higher numbers, and no two owners' pictures the same.
    return f"{int(time.time())}{secrets.randbelow(10**6):06d}"


def _may_see(caller: Caller, target: Account) -> bool:
    return caller.account is target or (target.privacy.get("profile") != "none" and not target.blocks(caller.account))


async def _set(caller: Caller, iq: Node) -> list[Node]:
    target = _target(caller, iq)
    sent = next((p for p in iq.all("picture") if p.text("type", "image") == "image"), None)
    if isinstance(target, Account) and target is not caller.account:
        raise QueryError(403, "forbidden")
    if not isinstance(target, Account):
        target.require_admin_for_info(caller.account.lid)
    if sent is not None and (not sent.data.startswith(JPEG) or len(sent.data) > MAX_PICTURE):
        raise QueryError(406, "not-acceptable")
    target.picture = Picture(_new_number(), sent.data) if sent else None
    caller.world.changed()
    await _tell(caller, target)
    return [Node("picture", {"type": "image", "id": target.picture.number})] if target.picture else []


async def _tell(caller: Caller, target: Account | Group) -> None:
    jid = target.lid_jid if isinstance(target, Account) else target.jid
    attrs: dict[str, Attr] = {"jid": jid, "author": caller.account.lid_jid}
    change = Node("set", {**attrs, "id": target.picture.number}) if target.picture else Node("delete", attrs)
    stanza = notification("picture", jid, [change])
    for account in _audience(caller.world, target):
        await caller.post_to_account(account, stanza)


def _audience(world: Context, target: Account | Group) -> list[Account]:
    lids = {target.lid, *target.seen_by} if isinstance(target, Account) else set(target.members)
    return [account for lid in sorted(lids) if (account := world.directory.by_lid(lid))]


def find(world: Context, number: str) -> Picture | None:
    """The picture with this number, for the download."""
    owners: list[Account | Group] = [*world.directory, *world.groups]
    return next((o.picture for o in owners if o.picture and o.picture.number == number), None)


QUERIES = {"w:profile:picture get": _get, "w:profile:picture set": _set}
