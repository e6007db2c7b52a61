"""w:g2: everything that can be asked about groups and done to them.

Source: whatsmeow's group.go. Every change is told to all devices of all members, the one who made it included: clients
keep a list of members and learn only from these notifications (a new member would else get messages without their key).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from zapwire.sandbox.caller import Caller, QueryError, Unhandled, new_id, notification
from zapwire.sandbox.groups import (
    ADMIN,
    GROUP_SERVER,
    MAX_DESCRIPTION,
    MAX_MEMBERS,
    MAX_SUBJECT,
    MEMBER,
    OWNER,
    Description,
    Group,
    participant,
)
from zapwire.sandbox.node import Attr, Jid, Node

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
        return await _create(caller, request)
    if request.tag == "leave":
        return await _leave(caller, request)
    if request.tag == "invite" and request.text("code"):
        return await _join(caller, request.text("code"))
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


# ---- telling


async def _tell(caller: Caller, group: Group, change: Node, lids: Iterable[str] | None = None) -> None:
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


async def _tell_created(caller: Caller, group: Group, lids: Iterable[str], reason: str) -> None:
    attrs: dict[str, Attr] = {"type": "new", "key": new_id(), "reason": reason}
    await _tell(caller, group, Node("create", attrs, [group.node(caller.world.directory)]), lids)


# ---- coming and going


async def _create(caller: Caller, request: Node) -> list[Node]:
    subject, world = request.text("subject"), caller.world
    if not subject or len(subject) > MAX_SUBJECT:
        raise QueryError(406, "not-acceptable")
    group = world.groups.create(subject, caller.account)
    for person in request.all("participant"):
        jid = person.jid("jid")
        account = world.account_of(jid) if jid else None
        if account is not None and caller.account.lid not in account.blocked:
            group.members.setdefault(account.lid, MEMBER)
    for setting in request.children:
        _apply(group, setting)
    world.changed()
    await _tell_created(caller, group, group.members, "")
    return [group.node(world.directory)]


def _apply(group: Group, setting: Node) -> None:
    if setting.tag in {"announcement", "not_announcement"}:
        group.announce = setting.tag == "announcement"
    elif setting.tag in {"locked", "unlocked"}:
        group.locked = setting.tag == "locked"
    elif setting.tag in {"ephemeral", "not_ephemeral"}:
        text = setting.text("expiration", "0")
        group.ephemeral = int(text) if text.isdecimal() else 0
    elif setting.tag == "member_add_mode":
        group.add_mode = "admin_add" if setting.data == b"admin_add" else "all_member_add"
    elif setting.tag == "membership_approval_mode":
        join = setting.child("group_join")
        group.approval = join is not None and join.text("state") == "on"


async def _leave(caller: Caller, request: Node) -> list[Node]:
    left = []
    for part in request.all("group"):
        group = caller.world.groups.need(_group_jid(part))
        group.require_member(caller.account.lid)
        before = list(group.members)
        _take_out(caller, group, caller.account.lid)
        gone = Node("remove", {}, [participant(caller.world.directory, caller.account.lid)])
        await _tell(caller, group, gone, before)
        left.append(Node("group", {"id": group.jid}))
    return [Node("leave", {}, left)]


def _group_jid(part: Node) -> Jid | None:
    text = part.text("id")
    return Jid(text, GROUP_SERVER) if text.isdecimal() else part.jid("id")


def _take_out(caller: Caller, group: Group, lid: str) -> None:
    del group.members[lid]
    if not group.members:
        caller.world.groups.remove(group)
    elif not any(group.members.values()):
        # WhatsApp never leaves a group without an admin: the one who is in it longest becomes it.
        group.members[next(iter(group.members))] = ADMIN
    caller.world.changed()


async def _join(caller: Caller, code: str) -> list[Node]:
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
    await _tell(caller, group, Node("add", {"reason": "invite"}, [participant(directory, lid)]), before)
    await _tell_created(caller, group, [lid], "invite")


async def _accept(caller: Caller, group: Group, request: Node) -> list[Node]:
    if request.text("code") != group.invite:
        raise QueryError(410, "gone")
    await _enter(caller, group)
    return []


# ---- people


async def _add(caller: Caller, group: Group, request: Node) -> list[Node]:
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
        await _tell(caller, group, Node("add", {}, [participant(directory, lid) for lid in added]), before)
        await _tell_created(caller, group, added, "")
    return [Node("add", {}, answers)]


def _why_not(caller: Caller, group: Group, lid: str | None) -> str:
    account = caller.world.directory.by_lid(lid) if lid else None
    if account is None:
        return "404"
    if account.lid in group.members:
        return "409"
    if caller.account.lid in account.blocked or account.privacy.get("groupadd") == "none":
        return "403"
    return "419" if len(group.members) >= MAX_MEMBERS else ""


def _people(request: Node) -> list[Jid]:
    return [jid for person in request.all("participant") if (jid := person.jid("jid"))]


def _result(caller: Caller, asked: Jid, lid: str | None, error: str) -> Node:
    if lid is None:
        return Node("participant", {"jid": asked, "error": error})
    return participant(caller.world.directory, lid, error=error)


async def _change_people(caller: Caller, group: Group, request: Node) -> list[Node]:
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
        await _tell(caller, group, Node(request.tag, {}, people), before)
    return [Node(request.tag, {}, answers)]


def _do(caller: Caller, group: Group, lid: str, action: str) -> str:
    if group.members[lid] == OWNER and lid != caller.account.lid:
        return "406"
    if action == "remove":
        _take_out(caller, group, lid)
    else:
        group.members[lid] = ADMIN if action == "promote" else MEMBER
    return ""


# ---- what is written about the group


async def _subject(caller: Caller, group: Group, request: Node) -> list[Node]:
    group.require_admin_for_info(caller.account.lid)
    subject = request.data.decode(errors="replace")
    if not subject or len(subject) > MAX_SUBJECT:
        raise QueryError(406, "not-acceptable")
    group.subject, group.subject_by, group.subject_time = subject, caller.account.lid, int(time.time())
    attrs: dict[str, Attr] = {
        "subject": subject,
        "s_t": str(group.subject_time),
        "s_o": caller.account.lid_jid,
        "s_o_pn": caller.account.phone_jid,
    }
    await _tell(caller, group, Node("subject", attrs))
    return []


async def _description(caller: Caller, group: Group, request: Node) -> list[Node]:
    group.require_admin_for_info(caller.account.lid)
    current = group.description.number if group.description else ""
    if request.text("prev") and request.text("prev") != current:
        raise QueryError(409, "conflict")
    body = request.child("body")
    number = request.text("id") or new_id()
    if body is None or not body.data or request.text("delete") == "true":
        group.description = None
        await _tell(caller, group, Node("description", {"id": number}, [Node("delete")]))
        return []
    text = body.data.decode(errors="replace")
    if len(text) > MAX_DESCRIPTION:
        raise QueryError(406, "not-acceptable")
    group.description = Description(number, text, caller.account.lid, int(time.time()))
    await _tell(caller, group, Node("description", {"id": number}, [Node("body", {}, text.encode())]))
    return []


async def _revoke_invite(caller: Caller, group: Group, _request: Node) -> list[Node]:
    group.require_admin(caller.account.lid)
    group.invite = secrets.token_urlsafe(16)
    await _tell(caller, group, Node("invite", {"code": group.invite}))
    return [Node("invite", {"code": group.invite})]


async def _setting(caller: Caller, group: Group, request: Node) -> list[Node]:
    group.require_admin(caller.account.lid)
    _apply(group, request)
    change = Node(request.tag, {**request.attrs, "v_id": new_id()}, request.content)
    await _tell(caller, group, change)
    return []


_ACTIONS: Final[dict[str, Action]] = {
    "add": _add,
    "remove": _change_people,
    "promote": _change_people,
    "demote": _change_people,
    "subject": _subject,
    "description": _description,
    "invite": _revoke_invite,
    "accept": _accept,
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
        _setting,
    ),
}

QUERIES = {"w:g2 get": _get, "w:g2 set": _set}
