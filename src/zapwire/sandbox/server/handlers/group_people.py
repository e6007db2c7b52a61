"""Who is in a group: founding it, joining, leaving, adding, removing, and who is an admin."""

from __future__ import annotations

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.handlers.group_notices import tell, tell_created
from zapwire.sandbox.server.handlers.group_settings import apply
from zapwire.sandbox.server.replies import QueryError
from zapwire.sandbox.server.state.groups import (
    ADMIN,
    GROUP_SERVER,
    MAX_MEMBERS,
    MAX_SUBJECT,
    MEMBER,
    OWNER,
    Group,
    participant,
)
from zapwire.wire.node import Node, WireJid


async def create(caller: Caller, request: Node) -> list[Node]:
    """A new group: everybody named is in it at once."""
    subject, world = request.text("subject"), caller.world
    if not subject or len(subject) > MAX_SUBJECT:
        raise QueryError(406, "not-acceptable")
    group = world.groups.create(subject, caller.account)
    for person in request.all("participant"):
        jid = person.jid("jid")
        account = world.account_of(jid) if jid else None
        if account is not None and not account.blocks(caller.account):
            group.members.setdefault(account.lid, MEMBER)
    for setting in request.children:
        apply(group, setting)
    world.changed()
    await tell_created(caller, group, group.members, "")
    return [group.node(world.directory)]


async def leave(caller: Caller, request: Node) -> list[Node]:
    """Leave any number of groups."""
    left = []
    for part in request.all("group"):
        group = caller.world.groups.need(_group_jid(part))
        group.require_member(caller.account.lid)
        before = list(group.members)
        _take_out(caller, group, caller.account.lid)
        gone = Node("remove", {}, [participant(caller.world.directory, caller.account.lid)])
        await tell(caller, group, gone, before)
        left.append(Node("group", {"id": group.jid}))
    return [Node("leave", {}, left)]


def _group_jid(part: Node) -> WireJid | None:
    text = part.text("id")
    return WireJid(text, GROUP_SERVER) if text.isdecimal() else part.jid("id")


def _take_out(caller: Caller, group: Group, lid: str) -> None:
    del group.members[lid]
    if not group.members:
        caller.world.groups.remove(group)
    elif not any(group.members.values()):
        # WhatsApp never leaves a group without an admin: the one who is in it longest becomes it.
        group.members[next(iter(group.members))] = ADMIN
    caller.world.changed()


async def join(caller: Caller, code: str) -> list[Node]:
    """Join by the code of an invite link."""
    group = caller.world.groups.by_invite(code)
    await _enter(caller, group)
    return [Node("group", {"jid": group.jid})]


async def _enter(caller: Caller, group: Group) -> None:
    lid, directory = caller.account.lid, caller.world.directory
    if lid in group.members:
        raise QueryError(409, "conflict")
    if len(group.members) >= MAX_MEMBERS:
        raise QueryError(419, "resource-limit")
    before = list(group.members)
    group.members[lid] = MEMBER
    caller.world.changed()
    await tell(caller, group, Node("add", {"reason": "invite"}, [participant(directory, lid)]), before)
    await tell_created(caller, group, [lid], "invite")


async def accept(caller: Caller, group: Group, request: Node) -> list[Node]:
    """Accept an invitation that came as a message."""
    if request.text("code") != group.invite:
        raise QueryError(410, "gone")
    await _enter(caller, group)
    return []


async def add(caller: Caller, group: Group, request: Node) -> list[Node]:
    """Add people; each is answered with its own error."""
    group.require_adder(caller.account.lid)
    before, added, answers = list(group.members), [], []
    directory = caller.world.directory
    for jid in _people(request):
        account = caller.world.account_of(jid)
        error = _why_not(caller, group, account.lid if account else None)
        if account is not None and not error:
            group.members[account.lid] = MEMBER
            added.append(account.lid)
        answers.append(_result(caller, jid, account.lid if account else None, error))
    if added:
        await tell(caller, group, Node("add", {}, [participant(directory, lid) for lid in added]), before)
        await tell_created(caller, group, added, "")
    return [Node("add", {}, answers)]


def _why_not(caller: Caller, group: Group, lid: str | None) -> str:
    account = caller.world.directory.by_lid(lid) if lid else None
    if account is None:
        return "404"
    if account.lid in group.members:
        return "409"
    if account.blocks(caller.account) or account.privacy.get("groupadd") == "none":
        return "403"
    return "419" if len(group.members) >= MAX_MEMBERS else ""


def _people(request: Node) -> list[WireJid]:
    return [jid for person in request.all("participant") if (jid := person.jid("jid"))]


def _result(caller: Caller, asked: WireJid, lid: str | None, error: str) -> Node:
    if lid is None:
        return Node("participant", {"jid": asked, "error": error})
    return participant(caller.world.directory, lid, error=error)


async def change_people(caller: Caller, group: Group, request: Node) -> list[Node]:
    """Remove, promote or demote people; each is answered with its own error."""
    group.require_admin(caller.account.lid)
    before, done, answers = list(group.members), [], []
    for jid in _people(request):
        account = caller.world.account_of(jid)
        lid = account.lid if account and account.lid in group.members else None
        error = "404" if lid is None else _do(caller, group, lid, request.tag)
        if lid is not None and not error:
            done.append(lid)
        answers.append(_result(caller, jid, lid, error))
    if done:
        people = [participant(caller.world.directory, lid) for lid in done]
        await tell(caller, group, Node(request.tag, {}, people), before)
    return [Node(request.tag, {}, answers)]


def _do(caller: Caller, group: Group, lid: str, action: str) -> str:
    if group.members[lid] == OWNER and lid != caller.account.lid:
        return "406"
    if action == "remove":
        _take_out(caller, group, lid)
    else:
        group.members[lid] = ADMIN if action == "promote" else MEMBER
    return ""
