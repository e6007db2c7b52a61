"""Telling the members of a group what has changed.

Every change is told to all devices of all members, the one who made it included: clients keep a list of members and
learn only from these notifications (a new member would else get messages without their key).
"""

from __future__ import annotations

from collections.abc import Iterable

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import new_id, notification
from zapwire.sandbox.server.state.groups import Group
from zapwire.wire.node import Attr, Node


async def tell(caller: Caller, group: Group, change: Node, lids: Iterable[str] | None = None) -> None:
    """Notify all devices of all members, or of these people."""
    attrs: dict[str, Attr] = {
        "participant": caller.account.lid_jid,
        "participant_pn": caller.account.phone_jid,
        "notify": caller.account.push_name,
        "addressing_mode": "lid",
    }
    stanza = notification("w:gp2", group.jid, [change], **attrs)
    for lid in list(group.members if lids is None else lids):
        account = caller.world.directory.by_lid(lid)
        for device in list(account.devices.values()) if account else []:
            await caller.world.post(device, stanza)


async def tell_created(caller: Caller, group: Group, lids: Iterable[str], reason: str) -> None:
    """Show these people the whole group, as those see it who are new in it."""
    attrs: dict[str, Attr] = {"type": "new", "key": new_id(), "reason": reason}
    await tell(caller, group, Node("create", attrs, [group.node(caller.world.directory)]), lids)
