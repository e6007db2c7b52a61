"""What is written about a group, its invite link and its on-off settings."""

from __future__ import annotations

import secrets
import time

from zapwire.sandbox.server.handlers.caller import Caller
from zapwire.sandbox.server.handlers.group_notices import tell
from zapwire.sandbox.server.replies import QueryError, new_id
from zapwire.sandbox.server.state.groups import MAX_DESCRIPTION, MAX_SUBJECT, Description, Group
from zapwire.wire.node import Attr, Node


def apply(group: Group, setting: Node) -> None:
    """Take over one of the on-off settings."""
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


async def subject(caller: Caller, group: Group, request: Node) -> list[Node]:
    """Rename the group."""
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
    await tell(caller, group, Node("subject", attrs))
    return []


async def description(caller: Caller, group: Group, request: Node) -> list[Node]:
    """Describe it again, or not at all; refused when somebody else did in between."""
    group.require_admin_for_info(caller.account.lid)
    current = group.description.number if group.description else ""
    if request.text("prev") and request.text("prev") != current:
        raise QueryError(409, "conflict")
    body = request.child("body")
    number = request.text("id") or new_id()
    if body is None or not body.data or request.text("delete") == "true":
        group.description = None
        await tell(caller, group, Node("description", {"id": number}, [Node("delete")]))
        return []
    text = body.data.decode(errors="replace")
    if len(text) > MAX_DESCRIPTION:
        raise QueryError(406, "not-acceptable")
    group.description = Description(number, text, caller.account.lid, int(time.time()))
    await tell(caller, group, Node("description", {"id": number}, [Node("body", {}, text.encode())]))
    return []


async def revoke_invite(caller: Caller, group: Group, _request: Node) -> list[Node]:
    """Make a new invite link; the old one leads nowhere."""
    group.require_admin(caller.account.lid)
    group.invite = secrets.token_urlsafe(16)
    await tell(caller, group, Node("invite", {"code": group.invite}))
    return [Node("invite", {"code": group.invite})]


async def setting(caller: Caller, group: Group, request: Node) -> list[Node]:
    """Change one of the on-off settings."""
    group.require_admin(caller.account.lid)
    apply(group, request)
    change = Node(request.tag, {**request.attrs, "v_id": new_id()}, request.content)
    await tell(caller, group, change)
    return []
