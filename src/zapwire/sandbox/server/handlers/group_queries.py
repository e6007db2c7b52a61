"""w:g2: everything that can be asked about groups and done to them.

Source: whatsmeow's group.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from zapwire.sandbox.server.handlers import group_people as people
from zapwire.sandbox.server.handlers import group_settings as about
from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.replies import QueryError, Unhandled
from zapwire.sandbox.server.state.groups import Group
from zapwire.wire.node import Node

Action = Callable[[Caller, Group, Node], Awaitable[list[Node]]]


async def _get(caller: Caller, iq: Node) -> list[Node]:
    request, world = _request(iq), caller.world
    if request.tag == "participating":
        groups = world.groups.of(caller.account.lid)
        return [Node("groups", {}, [group.node(world.directory) for group in groups])]
    if request.tag == "invite" and request.text("code"):
        return [world.groups.by_invite(request.text("code")).node(world.directory)]
    group = world.groups.need(iq.jid("to"))
    invited = request.child("add_request")
    if not (invited is not None and invited.text("code") == group.invite):
        group.require_member(caller.account.lid)
    if request.tag == "query":
        return [group.node(world.directory)]
    if request.tag == "invite":
        group.require_admin(caller.account.lid)
        return [Node("invite", {"code": group.invite})]
    if request.tag == "membership_approval_requests":
        return [Node("membership_approval_requests", {}, [])]
    raise Unhandled


async def _set(caller: Caller, iq: Node) -> list[Node]:
    request = _request(iq)
    if request.tag == "create":
        return await people.create(caller, request)
    if request.tag == "leave":
        return await people.leave(caller, request)
    if request.tag == "invite" and request.text("code"):
        return await people.join(caller, request.text("code"))
    action = _ACTIONS.get(request.tag)
    if action is None:
        raise Unhandled
    group = caller.world.groups.need(iq.jid("to"))
    answer = await action(caller, group, request)
    caller.world.changed()
    return answer


def _request(iq: Node) -> Node:
    if not iq.children:
        raise QueryError(400, "bad-request")
    return iq.children[0]


_ACTIONS: Final[dict[str, Action]] = {
    "add": people.add,
    "remove": people.change_people,
    "promote": people.change_people,
    "demote": people.change_people,
    "subject": about.subject,
    "description": about.description,
    "invite": about.revoke_invite,
    "accept": people.accept,
    **dict.fromkeys(
        (
            "announcement",
            "not_announcement",
            "locked",
            "unlocked",
            "ephemeral",
            "not_ephemeral",
            "member_add_mode",
            "membership_approval_mode",
        ),
        about.setting,
    ),
}

QUERIES = {"w:g2 get": _get, "w:g2 set": _set}
